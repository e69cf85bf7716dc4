//! The real servers: fetching them, starting them, asking them for their leader, health and clock.
