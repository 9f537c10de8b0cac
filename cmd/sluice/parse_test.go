package main

import (
	"errors"
	"maps"
	"reflect"
	"testing"

	"sluice/state"
)

// wantUsage fails unless err says that a command was called wrongly.
func wantUsage(t *testing.T, text any, err error) {
	t.Helper()
	var wrong *usageError
	if !errors.As(err, &wrong) {
		t.Errorf("%q: %v is no usage error", text, err)
	}
}

func TestParseWeights(t *testing.T) {
	got, err := parseWeights([]string{"v1=95", "v2.rc=0", "v3=1000000"})
	if err != nil || !maps.Equal(got, map[string]int{"v1": 95, "v2.rc": 0, "v3": 1000000}) {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "v1", "=5", "v1=", "v1=-1", "v1=5%", "v1=1.5", "v1=1000001", "v1=99999999999999999999", "v1=1=2"} {
		_, err := parseWeights([]string{bad})
		wantUsage(t, bad, err)
	}
	_, err = parseWeights([]string{"v1=1", "v1=1"})
	wantUsage(t, "twice", err)
}

func TestParsePairs(t *testing.T) {
	got, err := parsePairs("tag", []string{"commit=3f2a", "url=https://a/?b=c"})
	if err != nil || !maps.Equal(got, map[string]string{"commit": "3f2a", "url": "https://a/?b=c"}) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := parsePairs("tag", nil); got != nil || err != nil {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range [][]string{{""}, {"a"}, {"=b"}, {"a="}, {"a=1", "a=2"}} {
		_, err := parsePairs("tag", bad)
		wantUsage(t, bad, err)
	}
}

func TestParseShape(t *testing.T) {
	for text, want := range map[string]*state.Shape{
		"":         nil,
		"12":       {Writes: "12", Reads: []string{"12"}},
		"12,11":    {Writes: "12", Reads: []string{"11"}},
		"12,11,12": {Writes: "12", Reads: []string{"11", "12"}},
	} {
		if got, err := parseShape(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, bad := range []string{",", "12,", ",12", "12,,11", "a b", "12, 11"} {
		_, err := parseShape(bad)
		wantUsage(t, bad, err)
	}
}

func TestParseRequires(t *testing.T) {
	got, err := parseRequires([]string{"api:orders-v2", "api:cart", "db:x:y"})
	want := map[string][]string{"api": {"orders-v2", "cart"}, "db": {"x:y"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "api", ":x", "api:"} {
		_, err := parseRequires([]string{bad})
		wantUsage(t, bad, err)
	}
}

func TestParseHeaders(t *testing.T) {
	got, err := parseHeaders([]string{"x-tenant: acme ", "X-Tenant:b", "cookie: a=1", "Cookie: b=2", "X-Empty:", "X-Url: http://a:1/"})
	want := map[string]string{"X-Tenant": "acme, b", "Cookie": "a=1; b=2", "X-Empty": "", "X-Url": "http://a:1/"}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"", "X-Tenant", ": x", "X Tenant: a", "X-Tenant : a"} {
		_, err := parseHeaders([]string{bad})
		wantUsage(t, bad, err)
	}
}
