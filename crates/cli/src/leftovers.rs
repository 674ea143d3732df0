//! Folders that are gone at the end of a run, also where the second Ctrl-C ends it: nothing is dropped
//! then that would remove them.

use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

static FOLDERS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// This folder is to go, too. Nothing else is ever to have its name.
pub(crate) fn add(folder: PathBuf) {
    FOLDERS.lock().unwrap_or_else(PoisonError::into_inner).push(folder);
}

/// Removes them. Those that were removed or renamed before are not there.
pub(crate) fn remove() {
    for folder in FOLDERS.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        let _ = fs::remove_dir_all(folder);
    }
}
