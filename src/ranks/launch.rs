//! Whether a launcher started this process as one of several ranks.

use crate::{Error, Result};

/// Where launchers say how many ranks they started: Open MPI, then MPICH, Intel MPI and `srun --mpi=pmi2`.
const SIZES: [&str; 2] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"];

/// `srun --mpi=pmix` sets the first, and Slurm the second for every step. Slurm's own number of a process is no sign: scripts
/// of `sbatch` have it, too.
const PMIX: [&str; 2] = ["PMIX_RANK", "SLURM_STEP_NUM_TASKS"];

/// The number of ranks, and the variable that says it; `None` without a launcher.
///
/// # Errors
/// The variable holds no number.
pub(super) fn ranks(variable: impl Fn(&str) -> Option<String>) -> Result<Option<(usize, &'static str)>> {
    let of_pmix = variable(PMIX[0]).is_some().then_some(PMIX[1]);
    for name in SIZES.into_iter().chain(of_pmix) {
        if let Some(text) = variable(name) {
            let size = text.parse().map_err(|_| Error::input(name, format!("{text:?} is no number of ranks"), ""))?;
            return Ok(Some((size, name)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<Option<(usize, &'static str)>> {
        ranks(|name| variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn launchers_are_known_by_their_variables() {
        assert_eq!(with(&[]).unwrap(), None);
        assert_eq!(with(&[("OMPI_COMM_WORLD_SIZE", "3")]).unwrap(), Some((3, "OMPI_COMM_WORLD_SIZE")));
        assert_eq!(with(&[("PMI_SIZE", "2"), ("PMI_RANK", "1")]).unwrap(), Some((2, "PMI_SIZE")));
        let slurm = [("SLURM_PROCID", "0"), ("SLURM_STEP_NUM_TASKS", "8")];
        assert_eq!(with(&slurm).unwrap(), None, "a script of sbatch");
        let pmix = [&slurm[..], &[("PMIX_RANK", "0")]].concat();
        assert_eq!(with(&pmix).unwrap(), Some((8, "SLURM_STEP_NUM_TASKS")));
        assert!(with(&[("PMI_SIZE", "many")]).unwrap_err().to_string().contains("PMI_SIZE"));
    }
}
