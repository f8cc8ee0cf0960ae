package rendercache

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/dormouse-go/dormouse/internal/bench/figure"
	"github.com/dormouse-go/dormouse/internal/bench/meter"
	"github.com/dormouse-go/dormouse/rendercache"
)

// runRender compares a render of a template of 365 lines with a hit whose key is made of ten parameters.
func runRender(ctx context.Context, r *figure.Recorder) error {
	rounds := 9
	if r.Full {
		rounds = 31
	}
	source := []byte(templateText())
	params := parameters(10)
	id := keysOf(1)[0]
	c, err := rendercache.New(rendercache.Config[rendercache.Key, *result]{})
	if err != nil {
		return err
	}
	defer c.Close()
	render := func(context.Context) (*result, error) {
		body, err := parse(source)
		if err != nil {
			return nil, err
		}
		return evaluate(body, params)
	}
	var full, half, hits []float64
	for range rounds {
		full = append(full, alone(8, func(int) { _, err = render(ctx) }))
		if err != nil {
			return err
		}
		body, err := parse(source)
		if err != nil {
			return err
		}
		half = append(half, alone(20, func(int) { _, _ = evaluate(body, params) }))
		hits = append(hits, alone(20_000, func(int) {
			_, _ = c.Render(ctx, rendercache.KeyOf(id.Version, id.Owner, params), render)
		}))
	}
	r.AtLeast(1000, "rendercache/render/hit", compare(full, hits), "x", fmt.Sprintf(
		"parse and evaluate 365 lines of HCL %.2f ms, hit with KeyOf of 10 parameters %.0f ns", meter.Median(full)/1e6, meter.Median(hits)))
	r.Plain("rendercache/render/parsed", compare(full, half), "x", fmt.Sprintf(
		"what a miss costs less when the version's parsed form is shared: %.2f ms", meter.Median(half)/1e6))
	return nil
}

// templateText is a template of 365 lines: parameters with options, and resources that use them.
func templateText() string {
	var b strings.Builder
	lines := 0
	line := func(format string, args ...any) {
		fmt.Fprintf(&b, format+"\n", args...)
		lines++
	}
	for i := range 12 {
		line("parameter %q {", fmt.Sprintf("parameter_%02d_name", i))
		line("  display = \"Parameter %d\"", i)
		line("  default = \"value ${%d + 1}\"", i)
		for o := range 4 {
			line("  option {")
			line("    name  = \"option %d\"", o)
			line("    value = upper(\"value-%d-%d\")", i, o)
			line("  }")
		}
		line("}")
	}
	for i := 0; lines < 358; i++ {
		line("resource \"box\" \"r%d\" {", i)
		line("  image = \"registry/${value.parameter_%02d_name}:${owner.name}\"", i%10)
		line("  count = %d > 3 ? %d : 1", i, i)
		line("  env   = { OWNER = owner.name, HOME = \"/home/${owner.name}\", N = \"%d\" }", i)
		line("  tags  = [for t in [\"a\", \"b\", \"c\"] : \"${t}-%d\"]", i)
		line("}")
	}
	for lines < 365 {
		line("# the end")
	}
	return b.String()
}

func parse(source []byte) (*hclsyntax.Body, error) {
	file, diags := hclsyntax.ParseConfig(source, "main.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		return nil, diags
	}
	return file.Body.(*hclsyntax.Body), nil
}

// evaluate works out every attribute of every block.
func evaluate(body *hclsyntax.Body, params map[string]string) (*result, error) {
	values := map[string]cty.Value{}
	for name, value := range params {
		values[name] = cty.StringVal(value)
	}
	scope := &hcl.EvalContext{
		Variables: map[string]cty.Value{
			"value": cty.ObjectVal(values),
			"owner": cty.ObjectVal(map[string]cty.Value{"name": cty.StringVal("ann")}),
		},
		Functions: functions,
	}
	n := 0
	if err := walk(body, scope, &n); err != nil {
		return nil, err
	}
	return &result{text: fmt.Sprint(n)}, nil
}

func walk(body *hclsyntax.Body, scope *hcl.EvalContext, n *int) error {
	for _, a := range body.Attributes {
		if _, diags := a.Expr.Value(scope); diags.HasErrors() {
			return diags
		}
		*n++
	}
	for _, b := range body.Blocks {
		if err := walk(b.Body, scope, n); err != nil {
			return err
		}
	}
	return nil
}
