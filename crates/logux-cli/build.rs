//! Puts the page `/demo` into the program, if `packages/logux-web/build` has built it.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

fn main() -> io::Result<()> {
    let dist = folder("CARGO_MANIFEST_DIR")?.join("../../packages/logux-web/dist");
    println!("cargo::rerun-if-changed=build.rs");
    if dist.is_dir() {
        println!("cargo::rerun-if-changed={}", dist.display());
    }
    let mut files = Vec::new();
    let wasm = dist.join("logux.wasm");
    if wasm.is_file() && dist.join("demo/index.html").is_file() {
        files.push(wasm.canonicalize()?);
        for entry in fs::read_dir(dist.join("demo"))? {
            files.push(entry?.path().canonicalize()?);
        }
        files.sort();
    }
    let list: String = files.iter().map(|file| item(file)).collect();
    fs::write(folder("OUT_DIR")?.join("demo_files.rs"), format!("&[{list}]"))
}

fn folder(variable: &str) -> io::Result<PathBuf> {
    env::var_os(variable).map(PathBuf::from).ok_or_else(|| io::Error::other(variable.to_owned()))
}

/// Returns the name and the content of a file as an expression.
fn item(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    format!("({name:?}, include_bytes!({file:?}) as &[u8]),")
}
