//! The bindings of what the component exports.

// What the macro generates is full of it, by its nature.
#![allow(unsafe_code)]
#![allow(missing_docs, unreachable_pub, clippy::all)]

use crate::StandIn;

#[cfg(not(feature = "p2"))]
wit_bindgen::generate!({
    path: "../../wit/spin",
    inline: "
        package hearth:stand-in;

        world stand-in {
            export spin:variables/variables@3.0.0;
            export spin:key-value/key-value@3.0.0;
            export wasi:keyvalue/store@0.2.0-draft2;
            export wasi:keyvalue/atomics@0.2.0-draft2;
        }
    ",
    world: "hearth:stand-in/stand-in",
    generate_all,
});

#[cfg(feature = "p2")]
wit_bindgen::generate!({
    path: "../../wit/spin",
    inline: "
        package hearth:stand-in;

        world stand-in {
            export fermyon:spin/variables@2.0.0;
            export wasi:keyvalue/store@0.2.0-draft2;
            export wasi:keyvalue/atomics@0.2.0-draft2;
        }
    ",
    world: "hearth:stand-in/stand-in",
    generate_all,
});

export!(StandIn);
