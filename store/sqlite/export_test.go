package sqlite

// DueStatements are the statements a tick reads with.
func (s *Store) DueStatements() []string { return []string{s.text(dueAll), s.text(dueShared)} }
