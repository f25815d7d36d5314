//! Transports for Logux behind one trait: WebSocket, in-process pair, JSON lines.
