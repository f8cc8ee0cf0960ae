package sqlite_test

import (
	"net/url"
	"path/filepath"
	"testing"

	"github.com/dormouse-go/dormouse/store"
	"github.com/dormouse-go/dormouse/store/storetest"
)

// What a host has set for its file and its connections decides nothing.
func TestConformanceWithOtherSettings(t *testing.T) {
	pragmas := url.Values{"_pragma": {
		"page_size(512)", "auto_vacuum(1)", "reverse_unordered_selects(1)", "recursive_triggers(1)",
		"case_sensitive_like(1)", "secure_delete(1)", "automatic_index(0)", "cell_size_check(1)", "temp_store(2)", "mmap_size(1048576)",
		"legacy_alter_table(1)", "trusted_schema(0)", "defer_foreign_keys(1)",
	}}
	storetest.Run(t, func(t *testing.T) store.Store {
		return migrated(t, openFile(t, filepath.Join(t.TempDir(), "dormouse.db")+"?"+pragmas.Encode()))
	}, storetest.Options{Unregister: unregister, Garble: garble, Corrupt: corrupt, Dump: dump, Like: like})
}
