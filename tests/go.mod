module github.com/dormouse-go/dormouse/tests

go 1.26.0

require github.com/dormouse-go/dormouse v0.1.0

replace github.com/dormouse-go/dormouse => ../
