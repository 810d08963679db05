//! The scripts of the consistency protocol.

use std::sync::LazyLock;

use crate::client::Script;

macro_rules! scripts {
    ($($name:ident = $file:literal;)+) => {
        $(
            pub(super) static $name: LazyLock<Script> =
                LazyLock::new(|| Script::new(include_str!($file)));
        )+
    };
}

scripts! {
    ACQUIRE = "scripts/acquire.lua";
    STORE = "scripts/store.lua";
    STORE_LARGE = "scripts/store_large.lua";
    STORE_KEPT = "scripts/store_kept.lua";
    TAKE = "scripts/take.lua";
    RELEASE = "scripts/release.lua";
    FAIL = "scripts/fail.lua";
    RENEW = "scripts/renew.lua";
    CAPTURE = "scripts/capture.lua";
    SOFTEN = "scripts/soften.lua";
    HOLD = "scripts/hold.lua";
}
