//! What a process of this machine takes, as the system tells it. Only Linux does so in files.

use std::{fs, time::Duration};

use crate::talk::Failed;

/// The unit in which `/proc` counts the processor's time, the same on all Linux systems.
const TICKS_A_SECOND: u64 = 100;

/// A process, or this one.
#[derive(Clone, Copy, Debug)]
pub(super) enum Process {
    Own,
    Other(u32),
}

impl Process {
    fn read(self, file: &str) -> Result<String, Failed> {
        let path = match self {
            Self::Own => format!("/proc/self/{file}"),
            Self::Other(pid) => format!("/proc/{pid}/{file}"),
        };
        fs::read_to_string(&path).map_err(|error| format!("{path}: {error}").into())
    }

    /// The memory that is in use, in bytes.
    pub(super) fn resident(self) -> Result<u64, Failed> {
        let status = self.read("status")?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .ok_or("the system does not tell VmRSS")?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib * 1024)
    }

    /// The processor's time that it has taken so far, on all cores.
    pub(super) fn cpu(self) -> Result<Duration, Failed> {
        let stat = self.read("stat")?;
        // The name in brackets may hold anything, so what comes behind it is counted.
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let mut times = fields.split_whitespace().skip(11);
        let mut ticks = || {
            times
                .next()
                .and_then(|field| field.parse::<u64>().ok())
                .ok_or("the system tells no times")
        };
        Ok(Duration::from_millis((ticks()? + ticks()?) * 1_000 / TICKS_A_SECOND))
    }
}
