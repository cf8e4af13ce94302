//! The daemon as an MCP server towards agents, and towards editors' own agents.
