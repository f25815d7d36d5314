//! The memory and CPU time of a process, from `/proc`. Available on Linux only.

use std::{fs, time::Duration};

use super::error::BenchError;

/// The unit of CPU times in `/proc`, the same on all Linux systems.
const TICKS_PER_SECOND: u64 = 100;

/// A process.
#[derive(Clone, Copy, Debug)]
pub(super) enum Process {
    Current,
    Pid(u32),
}

impl Process {
    fn path(self, file: &str) -> String {
        match self {
            Self::Current => format!("/proc/self/{file}"),
            Self::Pid(pid) => format!("/proc/{pid}/{file}"),
        }
    }

    /// Reads a file of the process and extracts a value from it.
    fn read<T>(self, file: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, BenchError> {
        let path = self.path(file);
        match fs::read_to_string(&path) {
            Ok(text) => parse(&text).ok_or(BenchError::ParseProc(path)),
            Err(error) => Err(BenchError::ReadProc { path, error }),
        }
    }

    /// Returns the resident memory (`VmRSS`), in bytes.
    pub(super) fn resident_memory(self) -> Result<u64, BenchError> {
        self.read("status", |status| {
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
            let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
            Some(kib * 1024)
        })
    }

    /// Returns the CPU time used so far, on all cores, in user and kernel mode.
    pub(super) fn cpu_time(self) -> Result<Duration, BenchError> {
        self.read("stat", |stat| {
            // The name in parentheses can contain anything, so fields are counted after it.
            let mut times = stat.rsplit(')').next()?.split_whitespace().skip(11);
            let mut ticks = || times.next()?.parse::<u64>().ok();
            Some(Duration::from_millis((ticks()? + ticks()?) * 1_000 / TICKS_PER_SECOND))
        })
    }
}
