//! A Logux store on SQLite.
