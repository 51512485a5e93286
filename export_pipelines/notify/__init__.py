"""What happened, who hears of it, and how: events, an outbox that loses nothing, and its senders."""
