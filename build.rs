//! With the feature `mpi`: compiles `src/ranks/mpi.c` and links the installed MPI.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "mpi")]
    mpi();
}

#[cfg(feature = "mpi")]
fn mpi() {
    println!("cargo::rerun-if-changed=src/ranks/mpi.c");
    let Ok(found) = build_probe_mpi::probe() else {
        println!(
            "cargo::error=the feature `mpi` needs an MPI with its compiler `mpicc`: install libopenmpi-dev (Debian), or load the module of your cluster"
        );
        return;
    };
    let mut shim = cc::Build::new();
    shim.file("src/ranks/mpi.c");
    match &found.mpicc {
        Some(mpicc) => shim.compiler(mpicc),
        None => shim.includes(&found.include_paths),
    };
    shim.compile("wgr_mpi");
    for path in &found.lib_paths {
        println!("cargo::rustc-link-search=native={}", path.display());
    }
    for library in &found.libs {
        println!("cargo::rustc-link-lib={library}");
    }
}
