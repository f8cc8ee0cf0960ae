package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"
)

// private makes the file of the database for its owner only, before SQLite would make it for everybody whom the umask allows.
func (c *connector) private() error {
	name := fileOf(c.source)
	if name == "" {
		return nil
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil
	case err != nil:
		return fmt.Errorf("make SQLite database: %w", err)
	}
	// Closed before SQLite opens it: with any descriptor of a file that a process closes, it loses all its locks on that file.
	return f.Close()
}

// fileOf is the path in a source, as drivers read it; empty if there is none, or the file is not to be made.
func fileOf(source string) string {
	path, query, _ := strings.Cut(source, "?")
	values, _ := url.ParseQuery(query) // what can be read of it
	switch mode := values.Get("mode"); {
	case strings.Contains(path, ":memory:") || mode == "memory" || mode == "ro" || mode == "rw" || values.Has("vfs"):
		return ""
	case !strings.HasPrefix(path, "file:"):
		return path
	}
	path = strings.TrimPrefix(path, "file:")
	if strings.HasPrefix(path, "//") { // an authority: empty or localhost
		path = strings.TrimPrefix(strings.TrimPrefix(path, "//"), "localhost")
		if !strings.HasPrefix(path, "/") {
			return ""
		}
	}
	path, _ = url.PathUnescape(path) // empty if it cannot be read
	return path
}
