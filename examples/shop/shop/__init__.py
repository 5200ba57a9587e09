"""A corner shop, small enough to read in one sitting: one domain, two frameworks, two releases."""
