//! Tokens: what they look like, and what is none.

use daybook_event::token::{HEADER_BYTES_MAX, POSITIONS_MAX, Token, TokenError, TokenPosition};

fn position(topic: &str, partition: i32, position: u64) -> TokenPosition {
    TokenPosition { topic: topic.to_owned(), partition, position }
}

#[test]
fn a_token_of_one_position() {
    let token = Token::one("orders.events", 3, 1042);
    assert_eq!(token.to_string(), "orders.events/3@1042");
    assert_eq!("orders.events/3@1042".parse(), Ok(token));
}

#[test]
fn a_token_of_several_positions_keeps_their_order() {
    let text = "users.events/5@18446744073709551615,orders.events/2147483647@0";
    let positions = vec![position("users.events", 5, u64::MAX), position("orders.events", i32::MAX, 0)];
    assert_eq!(text.parse(), Ok(Token { positions: positions.clone() }));
    assert_eq!(Token { positions }.to_string(), text);
}

#[test]
fn spaces_around_commas_are_allowed_as_in_other_headers() {
    let token = " users.events/5@1 , orders.events/3@2 ".parse::<Token>().unwrap();
    assert_eq!(token.to_string(), "users.events/5@1,orders.events/3@2");
}

#[test]
fn of_each_partition_the_highest_position_counts() {
    let token = "a/0@1,b/1@3,a/0@7,a/0@2,a/1@0".parse::<Token>().unwrap();
    assert_eq!(token.to_string(), "a/0@7,b/1@3,a/1@0");
}

#[test]
fn a_token_has_room_for_as_many_partitions_as_a_shop_may_have() {
    let of = |count| (0..count).map(|at| format!("users.events/{at}@0")).collect::<Vec<_>>().join(",");
    assert_eq!(of(POSITIONS_MAX).parse::<Token>().unwrap().positions.len(), POSITIONS_MAX);
    let error = of(POSITIONS_MAX + 1).parse::<Token>().unwrap_err();
    assert_eq!(error, TokenError::TooMany);
    assert_eq!(error.to_string(), "a token names at most 3000 partitions");
    let repeated = vec!["users.events/0@0"; 10_000].join(",").parse::<Token>().unwrap();
    assert_eq!(repeated, Token::one("users.events", 0, 0));
}

#[test]
fn what_is_no_token_is_named() {
    for part in [
        "",
        "orders.events",
        "orders.events/3",
        "orders.events@1042",
        "/3@1042",
        "orders.events/@1042",
        "orders.events/3@",
        "orders.events/3@1042@7",
        "orders.events/-3@1042",
        "orders.events/+3@1042",
        "orders.events/3@-1",
        "orders.events/3@1 042",
        "orders.events/3@0x1",
        "orders.events/2147483648@0",
        "orders.events/3@18446744073709551616",
        "orders/events/3@1042",
        "order events/3@1042",
        "주문/3@1042",
        "orders.events/٣@1",
    ] {
        let malformed = TokenError::Malformed { part: part.to_owned() };
        assert_eq!(part.parse::<Token>(), Err(malformed.clone()));
        assert_eq!(
            malformed.to_string(),
            format!("`{part}` is not of the form topic/partition@position, such as orders.events/3@1042")
        );
        let among_others = format!("users.events/0@0,{part}").parse::<Token>();
        assert_eq!(among_others, Err(malformed));
    }
}

#[test]
fn errors_repeat_only_a_bounded_and_printable_part() {
    let text = format!("\u{1b}[31m{}", "x".repeat(1_000_000));
    let message = text.parse::<Token>().unwrap_err().to_string();
    assert!(message.len() < 300 && !message.contains('\u{1b}'), "{message}");
}

/// So many partitions of a topic, whose positions are up to `spread` apart.
fn of_partitions(count: i32, spread: u64) -> Token {
    let at =
        |partition: i32| (partition.unsigned_abs() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) % (spread + 1);
    let positions =
        (0..count).map(|partition| position("products.events", partition, 1_000_000 + at(partition)));
    Token { positions: positions.collect() }
}

#[test]
fn a_token_that_is_too_long_for_a_header_is_packed_and_says_the_same() {
    for (count, spread) in [(1, 0), (50, 1_000), (300, 1 << 30), (1_000, 1_000), (1_000, 0)] {
        let token = of_partitions(count, spread);
        let header = token.to_header();
        assert!(header.len() <= HEADER_BYTES_MAX, "{count} partitions take {} bytes", header.len());
        assert_eq!(header.parse(), Ok(token), "{header}");
    }
    let sparse = Token {
        positions: (0..394).map(|at| position("products.events", at * 2 + 1, u64::MAX - at as u64)).collect(),
    };
    assert_eq!(sparse.to_header().parse(), Ok(sparse));
    let wide = Token {
        positions: (0..100).map(|at| position("a", at, if at == 7 { u64::MAX } else { 0 })).collect(),
    };
    assert_eq!(wide.to_header().parse(), Ok(wide));
}

#[test]
fn a_packed_token_is_one_only_as_it_was_written() {
    let header = of_partitions(1_000, 1_000).to_header();
    let (topic, packed) = header.split_once('@').unwrap();
    let other = |packed: &str| format!("{topic}@{packed}").parse::<Token>();
    assert!(other(packed).is_ok());
    for wrong in [
        "",
        "A",
        "*",
        &packed[1..],
        &packed[..packed.len() - 1],
        &format!("{packed}A"),
        &packed.to_lowercase(),
    ] {
        assert!(matches!(other(wrong), Err(TokenError::Malformed { .. })), "{wrong:.40}");
    }
    assert!(header.replacen("products", "pro ducts", 1).parse::<Token>().is_err());
}
