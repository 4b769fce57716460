//! Text is the same after a round trip through a type.

use super::*;
use proc_macro2::TokenTree;
use proptest::prelude::*;

/// The text that a type holds, read from its integer literals in order, outer node first.
pub(crate) fn decode(ty: TokenStream) -> String {
    let mut bytes = Vec::new();
    collect(ty, &mut bytes);
    let padding = bytes.iter().rev().take_while(|byte| **byte == 0).count();
    bytes.truncate(bytes.len() - padding);
    String::from_utf8(bytes).expect("text")
}

fn collect(tokens: TokenStream, bytes: &mut Vec<u8>) {
    for token in tokens {
        if let TokenTree::Literal(word) = token {
            let word: u128 = word.to_string().parse().expect("a word");
            bytes.extend(word.to_be_bytes());
        }
    }
}

fn encode(text: &str) -> TokenStream {
    of(text, &quote!(p))
}

#[test]
fn empty_text_is_the_unit_type() {
    assert_eq!(encode("").to_string(), "()");
}

#[test]
fn words_are_big_endian_and_padded() {
    let word = u128::from_be_bytes(*b"ab\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    assert_eq!(encode("ab").to_string(), format!("p :: Text < {word} >"));
    assert_eq!(encode(&"x".repeat(17)).to_string().matches(',').count(), 1);
}

#[test]
fn text_of_one_node_is_not_nested() {
    let nodes = |length: usize| encode(&"x".repeat(length)).to_string().matches("Text").count();
    assert_eq!([1, 16, 17, 64].map(nodes), [1; 4]);
    assert_eq!([65, 128].map(nodes), [2; 2]);
    assert_eq!(nodes(crate::rules::MAX_LIST_BYTES), 16);
}

#[test]
fn longer_text_continues_in_the_fifth_parameter() {
    let sixty_four = "x".repeat(64);
    let text = encode(&format!("{sixty_four}y")).to_string();
    let rest = encode("y").to_string();
    assert!(text.ends_with(&format!(", {rest} >")), "{text}");
}

proptest! {
    #[test]
    fn text_is_the_same_after_a_round_trip(text in "[^\0]{0,300}") {
        prop_assert_eq!(decode(encode(&text)), text);
    }
}
