//! The engine through its door, over a network whose answers are known.

mod client;
mod demand;
mod driven;
mod embeddings;
mod encoder;
mod generate;
mod grammar;
mod loading;
mod logprobs;
mod measures;
mod real;
mod sameness;
mod sharing;
mod soak;
mod tensor;
mod tools;
mod toy;
