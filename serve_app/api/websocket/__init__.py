"""Text in and audio out over one WebSocket: docs/websocket.md has the protocol."""
