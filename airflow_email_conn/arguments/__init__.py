"""Arguments that several operators, sensors and notifiers share."""
