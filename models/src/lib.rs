//! What a model is: the catalog of pinned models, GGUF files and Hugging Face's folders, tokenizers, chat templates, and the architectures as Burn tensors over `hearth-kernels`.
//!
//! Used by `hearth-engine`, and by the command line for the catalog. Does no scheduling, opens no socket, and never asks which device it runs on.

pub mod arch;
pub mod catalog;
pub mod dialect;
pub mod folder;
pub mod gguf;
pub mod safetensors;
pub mod template;
pub mod tokenizer;

mod model;
mod packed;

pub use folder::{Folder, Quantization};
pub use model::{Facts, Model, ModelError};
pub use packed::Packed;
