package api

import (
	"encoding"
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
)

// allRoutes is the API.
func (a *API) allRoutes() []route {
	return slices.Concat(a.peopleRoutes(), a.templateRoutes(), a.workspaceRoutes(), a.foresightRoutes(), a.jobRoutes(), a.poolRoutes(), a.workerRoutes(), a.eventRoutes())
}

type object = map[string]any

// specOf describes the routes as an OpenAPI document.
func specOf(routes []route) []byte {
	s := schemas{made: object{}}
	paths := object{}
	for _, r := range routes {
		item, ok := paths[r.path].(object)
		if !ok {
			item = object{}
			paths[r.path] = item
		}
		item[strings.ToLower(r.method)] = s.operation(r)
	}
	s.made["Problem"] = object{
		"type": "object", "description": "what went wrong (RFC 9457); of bad input the field, the value and the rule",
		"properties": object{
			"type": object{"type": "string"}, "title": object{"type": "string"}, "status": object{"type": "integer"},
			"detail": object{"type": "string"}, "field": object{"type": "string"}, "value": object{"type": "string"}, "rule": object{"type": "string"},
		},
	}
	text, err := json.MarshalIndent(object{
		"openapi": "3.1.0",
		"info":    object{"title": "A control plane of workspaces", "version": "1", "license": object{"name": "Apache-2.0", "identifier": "Apache-2.0"}},
		"servers": []object{{"url": Prefix}},
		"paths":   paths,
		"components": object{
			"schemas":         s.made,
			"securitySchemes": object{"token": object{"type": "http", "scheme": "bearer"}},
			"responses":       object{"Problem": object{"description": "a problem", "content": object{"application/problem+json": object{"schema": object{"$ref": "#/components/schemas/Problem"}}}}},
		},
	}, "", " ")
	if err != nil {
		panic(err) // it is made of maps and texts
	}
	return append(text, '\n')
}

// schemas are those of the types that routes take and give.
type schemas struct{ made object }

var inPath = regexp.MustCompile(`\{([a-z]+)\}`)

func (s schemas) operation(r route) object {
	var parameters []object
	for _, m := range inPath.FindAllStringSubmatch(r.path, -1) {
		parameters = append(parameters, object{"name": m[1], "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	for _, p := range r.query {
		parameters = append(parameters, object{"name": p.name, "in": "query", "description": p.what, "schema": object{"type": "string"}})
	}
	if r.method != "GET" && len(r.who) > 0 && !r.secret {
		parameters = append(parameters, object{"name": keyHeader, "in": "header", "description": "lets the request be repeated", "schema": object{"type": "string", "maxLength": 128}})
	}
	o := object{"operationId": operationID(r), "summary": r.summary, "responses": s.responses(r)}
	if len(parameters) > 0 {
		o["parameters"] = parameters
	}
	if len(r.who) > 0 {
		o["security"] = []object{{"token": []string{}}}
		o["x-for"] = r.who
	}
	if r.in != nil {
		limit := r.limit
		if limit == 0 {
			limit = usualBody
		}
		o["requestBody"] = object{"required": true, "description": "at most " + strconv.FormatInt(limit, 10) + " bytes", "content": object{"application/json": object{"schema": s.of(r.in)}}}
	}
	return o
}

func (s schemas) responses(r route) object {
	all := object{"default": object{"$ref": "#/components/responses/Problem"}}
	switch {
	case r.stream != nil:
		all["200"] = object{"description": "a stream", "content": object{"text/event-stream": object{}}}
	case r.out != nil:
		all["200"] = object{"description": "done", "content": object{"application/json": object{"schema": s.of(r.out)}}}
	case r.method == "GET":
		all["200"] = object{"description": "the file"}
	default:
		all["204"] = object{"description": "done"}
	}
	return all
}

func operationID(r route) string {
	path := inPath.ReplaceAllString(r.path, "of-$1")
	return strings.ToLower(r.method) + strings.ReplaceAll(strings.ReplaceAll(path, "/", "-"), ".", "-")
}

// of returns the schema of a type. Structs are named and described once.
func (s schemas) of(t reflect.Type) object {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[uuid.UUID]():
		return object{"type": "string", "format": "uuid"}
	case t.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return object{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return object{"type": "string"}
		}
		return object{"type": "array", "items": s.of(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.Struct:
		return s.named(t)
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}
	case reflect.Interface:
		return object{}
	}
	if t == reflect.TypeFor[time.Duration]() {
		return object{"type": []string{"string", "integer"}, "description": "a duration such as 8h0m0s, or nanoseconds"}
	}
	return object{"type": "integer"}
}

func (s schemas) named(t reflect.Type) object {
	name := strings.NewReplacer("[", "Of", "]", "", "github.com/dormouse-go/dormouse/", "", "examples/controlplane/", "", "/", "", ".", "").Replace(t.Name())
	pkg := t.PkgPath()[strings.LastIndex(t.PkgPath(), "/")+1:]
	if pkg != "api" {
		name = strings.ToUpper(pkg[:1]) + pkg[1:] + name
	}
	ref := object{"$ref": "#/components/schemas/" + name}
	if _, ok := s.made[name]; ok {
		return ref
	}
	properties := object{}
	s.made[name] = object{"type": "object", "properties": properties}
	if t == reflect.TypeFor[lifecycle.Policy]() {
		rules(properties)
	} else {
		s.fields(t, properties)
	}
	return ref
}

// rules are the members of a policy, which writes itself: those of one that has every rule.
func rules(properties object) {
	p := reflect.New(reflect.TypeFor[lifecycle.Policy]()).Elem()
	every(p)
	text, err := json.Marshal(p.Interface())
	if err != nil {
		panic(err) // each value is one of a policy
	}
	var members object
	if err := json.Unmarshal(text, &members); err != nil {
		panic(err)
	}
	for name, v := range members {
		switch v := v.(type) {
		case bool:
			properties[name] = object{"type": "boolean"}
		case float64:
			properties[name] = object{"type": "integer"}
		case string:
			properties[name] = object{"type": "string"}
			if _, err := time.ParseDuration(v); err == nil {
				properties[name] = object{"type": "string", "description": "a duration such as 8h0m0s"}
			}
		}
	}
}

// every gives each field a value that is not zero.
func every(v reflect.Value) {
	switch {
	case v.Type() == reflect.TypeFor[*schedule.Dates]():
		v.Set(reflect.ValueOf(schedule.ReadDates("Europe/Berlin 2026-12-24")))
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				every(v.Field(i))
			}
		}
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.CanInt():
		v.SetInt(1)
	case v.CanUint():
		v.SetUint(1)
	}
}

func (s schemas) fields(t reflect.Type, properties object) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case tag == "-" || !f.IsExported() && !f.Anonymous:
		case f.Anonymous && tag == "" && f.Type.Kind() == reflect.Struct:
			s.fields(f.Type, properties)
		case tag == "":
			properties[f.Name] = s.of(f.Type)
		default:
			properties[tag] = s.of(f.Type)
		}
	}
}
