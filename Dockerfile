# The four services and the projector in one image: one build, one thing to ship; docker-compose.yml names the command.
# No `syntax` line on purpose: the frontend built into Docker 23 and newer knows all that is used here.

FROM rust:1-bookworm AS build
WORKDIR /src
COPY . .
# The caches keep crates and compiled dependencies between builds, so the binaries must be copied out in the same step.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --locked --release --bins \
        --package command-services --package projector --package query-api \
    && mkdir /out \
    && cp target/release/users target/release/products target/release/orders \
        target/release/projector target/release/query-api /out/ \
    # Function names stay for backtraces; debug information is four fifths of the size.
    && strip --strip-debug /out/*

FROM debian:bookworm-slim
# A named volume takes its owner from the directory it is first mounted on, so these belong to the user of the services.
RUN useradd --system --no-create-home --uid 10001 --shell /usr/sbin/nologin daybook \
    && install --directory --owner=daybook --group=daybook --mode=0750 \
        /var/lib/daybook/users /var/lib/daybook/products /var/lib/daybook/orders /var/lib/daybook/read-model
COPY --from=build /out/ /usr/local/bin/
USER 10001:10001
WORKDIR /var/lib/daybook
