# Each recipe is one command. `just` lists them.

_list:
    @just --list

# All services and the story on an embedded broker
run *FLAGS:
    cargo run --release -- {{ FLAGS }}

# Everything that needs no Kafka
test *FILTER:
    cargo test --workspace {{ FILTER }}

# The shape of the repository and its documents
structure:
    cargo test --workspace --test structure

# Tests on a real Kafka: just test-kafka 127.0.0.1:9092
test-kafka BROKERS *FILTER:
    DAYBOOK_TEST_BROKERS={{ BROKERS }} cargo test --workspace --tests -- --ignored {{ FILTER }}

# Each crate of the kernel, built from what would be published of it alone; dependencies as the tests have built them
packages:
    cargo package --offline --config 'profile.dev.debug="line-tables-only"' \
        --config 'profile.dev.package."*".opt-level=1' --config 'profile.dev.package."*".debug=false' \
        $(cd crates && printf -- '-p %s ' *)

lint:
    cargo clippy --workspace --all-targets -- -D warnings

format:
    cargo fmt --all

# A Kafka of its own in DIR; end it with `system-tests/kafka/kafka down --dir DIR`
kafka DIR:
    system-tests/kafka/kafka up --dir {{ DIR }}

campaign *FLAGS:
    cargo run --release -p system-tests --bin campaign -- {{ FLAGS }}

projector *FLAGS:
    cargo run --release --bin projector -- {{ FLAGS }}

bench *FLAGS:
    cargo run --release -p benchmarks -- {{ FLAGS }}

# The commands of the documents
documents:
    system-tests/readme/run

# Everything a change must pass
ci:
    .ci/run
