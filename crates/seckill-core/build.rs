//! Has the migrations embedded anew when one is added: the macro that embeds them only sees those that
//! were there when it last ran.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations");
}
