//! The choice of tokens on the device.

use crate::{choosing, gpu};

#[test]
fn rules_choose_as_by_the_book() {
    if let Some(device) = gpu() {
        choosing::rules_choose_as_by_the_book(&device);
    }
}

#[test]
fn strange_rows_have_a_highest() {
    if let Some(device) = gpu() {
        choosing::strange_rows_have_a_highest(&device);
    }
}

#[test]
fn each_row_gets_what_it_asks_for() {
    if let Some(device) = gpu() {
        choosing::each_row_gets_what_it_asks_for(&device);
    }
}

#[test]
fn draws_follow_the_distribution() {
    if let Some(device) = gpu() {
        choosing::draws_follow_the_distribution(&device);
    }
}

#[test]
fn masked_tokens_are_never_chosen() {
    if let Some(device) = gpu() {
        choosing::masked_tokens_are_never_chosen(&device);
    }
}

#[test]
fn odds_are_those_of_the_plain_row() {
    if let Some(device) = gpu() {
        choosing::odds_are_those_of_the_plain_row(&device);
    }
}
