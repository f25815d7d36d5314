//! This package has only benchmarks.
