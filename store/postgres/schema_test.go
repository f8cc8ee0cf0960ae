package postgres_test

import (
	"errors"
	"testing"

	"github.com/dormouse-go/dormouse/invalid"
	"github.com/dormouse-go/dormouse/store/postgres"
)

// A schema that SQL cannot name without quotes, or that is PostgreSQL's own, is refused before anything is asked of the database.
func TestReservedSchemas(t *testing.T) {
	_, pool := open(t)
	for _, name := range []string{"user", "select", "order", "default", "table", "information_schema", "pg_catalog", "system_user"} {
		if _, err := postgres.New(pool, postgres.Config{Schema: name}); !errors.Is(err, invalid.Err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := postgres.New(pool, postgres.Config{Schema: "users"}); err != nil {
		t.Errorf("users: %v", err)
	}
}
