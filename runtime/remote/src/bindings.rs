//! The bindings of what the component exports.

// What the macro generates is full of it, by its nature.
#![allow(unsafe_code)]
#![allow(missing_docs, unreachable_pub, clippy::all)]

use crate::exports::Provider;

wit_bindgen::generate!({
    path: "../../wit/wasi-nn",
    inline: "
        package hearth:remote;

        world provider {
            export wasi:nn/tensor@0.2.0-rc-2024-10-28;
            export wasi:nn/graph@0.2.0-rc-2024-10-28;
            export wasi:nn/inference@0.2.0-rc-2024-10-28;
            export wasi:nn/errors@0.2.0-rc-2024-10-28;
        }
    ",
    world: "hearth:remote/provider",
    generate_all,
});

export!(Provider);
