//! Waits of all drivers at one time. The bytes that live are counted for a whole process, so each
//! driver's server and its crowd get a process of their own.

use crate::rig::DRIVERS;
use halfopen_server::DriverKind;
use std::env::{current_exe, var};
use std::process::{Child, Command, Stdio};

/// Names the driver that a process is for.
const DRIVER: &str = "HALFOPEN_HOSTILE_DRIVER";

/// Lets each driver suffer what mostly is to wait for. The test runs itself once more for each.
pub(crate) fn on_all_drivers_at_once(suffer: impl Fn(DriverKind)) {
    if let Some(driver) = driver_of_this_process() {
        return suffer(driver);
    }
    // The harness names a test's thread after it, unless it has only one.
    match std::thread::current().name() {
        None | Some("main") => DRIVERS.into_iter().for_each(suffer),
        Some(test) => {
            let children = DRIVERS.map(|driver| process_for(driver, test));
            // All have ended before one is judged.
            for ended in children.map(|child| child.wait_with_output().unwrap()) {
                let said = String::from_utf8_lossy(&ended.stdout);
                println!("{said}");
                let error = String::from_utf8_lossy(&ended.stderr);
                assert!(ended.status.success() && said.contains("1 passed"), "{error}");
            }
        }
    }
}

/// The driver that this process is for, if it is for one.
pub(crate) fn driver_of_this_process() -> Option<DriverKind> {
    let name = var(DRIVER).ok()?;
    Some(*DRIVERS.iter().find(|driver| driver.name() == name).expect("a driver"))
}

/// A process for one driver, which runs one test.
pub(crate) fn process_for(driver: DriverKind, test: &str) -> Child {
    Command::new(current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(DRIVER, driver.name())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}
