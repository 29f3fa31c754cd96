//! The choice of tokens on the CPU.

mod common;

use burn::tensor::Device;
use common::{choosing, on_every_target};

#[test]
fn rules_choose_as_by_the_book() {
    on_every_target(|_| choosing::rules_choose_as_by_the_book(&Device::flex()));
}

#[test]
fn strange_rows_have_a_highest() {
    on_every_target(|_| choosing::strange_rows_have_a_highest(&Device::flex()));
}

#[test]
fn each_row_gets_what_it_asks_for() {
    choosing::each_row_gets_what_it_asks_for(&Device::flex());
}

#[test]
fn draws_follow_the_distribution() {
    choosing::draws_follow_the_distribution(&Device::flex());
}

#[test]
fn masked_tokens_are_never_chosen() {
    on_every_target(|_| choosing::masked_tokens_are_never_chosen(&Device::flex()));
}

#[test]
fn odds_are_those_of_the_plain_row() {
    on_every_target(|_| choosing::odds_are_those_of_the_plain_row(&Device::flex()));
}
