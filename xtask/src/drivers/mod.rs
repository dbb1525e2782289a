//! Vulkan drivers besides the installed one, to test on: unpacked from Debian's packages into a folder of their own, the
//! system stays as it is. Read `driver.rs` for which there are and where, `fetch.rs` and `packages.rs` for how they get
//! there, `run.rs` for how a program gets one.

mod driver;
mod fetch;
mod packages;
mod run;

pub(crate) use self::driver::Driver;
pub(crate) use self::fetch::get;
pub(crate) use self::run::{check, check_own, run, test};
