//! Selects the locks of shuttle in the core's module `sync`.

fn main() {
    println!("cargo::rustc-cfg=shuttle");
}
