"""Pages, for people: drawn here, without another host, in Bahasa Indonesia or English."""
