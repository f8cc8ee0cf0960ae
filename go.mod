module github.com/dormouse-go/dormouse

go 1.26.0

require (
	github.com/coder/quartz v0.3.1
	github.com/google/uuid v1.6.0
	github.com/prometheus/client_golang v1.25.0
	github.com/robfig/cron/v3 v3.0.1
	golang.org/x/sync v0.24.0
)
