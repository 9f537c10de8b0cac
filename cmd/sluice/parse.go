package main

import (
	"net/textproto"
	"strconv"
	"strings"

	"sluice/state"
)

// parseWeights reads "v1=95" "v2=5".
func parseWeights(args []string) (map[string]int, error) {
	weights := make(map[string]int, len(args))
	for _, arg := range args {
		version, text, ok := strings.Cut(arg, "=")
		if !ok || version == "" {
			return nil, usage("%q is no weight; write VERSION=WEIGHT, such as v2=5", arg)
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > state.MaxWeight {
			return nil, usage("%q: the weight must be a whole number from 0 to %d; sluice shift takes a percentage", arg, state.MaxWeight)
		}
		if _, twice := weights[version]; twice {
			return nil, usage("the weight of %s is given twice", version)
		}
		weights[version] = n
	}
	return weights, nil
}

// parsePairs reads arguments of the form name=value; what says what they are.
func parsePairs(what string, args []string) (map[string]string, error) {
	var pairs map[string]string
	for _, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		if !ok || name == "" || value == "" {
			return nil, usage("%q is no %s", arg, what)
		}
		if _, twice := pairs[name]; twice {
			return nil, usage("%q: %s is given twice", arg, name)
		}
		if pairs == nil {
			pairs = map[string]string{}
		}
		pairs[name] = value
	}
	return pairs, nil
}

// parseShape reads what a version writes and what it reads: "12,11,12". With
// one name it reads what it writes; "" is no shape.
func parseShape(text string) (*state.Shape, error) {
	if text == "" {
		return nil, nil
	}
	writes, reads, several := strings.Cut(text, ",")
	if !several {
		reads = writes
	}
	shape := &state.Shape{Writes: writes, Reads: strings.Split(reads, ",")}
	for _, name := range append([]string{writes}, shape.Reads...) {
		if !state.ValidName(name) {
			return nil, usage("--shape %q: write WRITES[,READS…], such as 12 or 12,11,12", text)
		}
	}
	return shape, nil
}

// parseRequires reads needs of the form service:capability.
func parseRequires(args []string) (map[string][]string, error) {
	var needs map[string][]string
	for _, arg := range args {
		service, capability, ok := strings.Cut(arg, ":")
		if !ok || service == "" || capability == "" {
			return nil, usage("--requires %q: write SERVICE:CAPABILITY, such as api:orders-v2", arg)
		}
		if needs == nil {
			needs = map[string][]string{}
		}
		needs[service] = append(needs[service], capability)
	}
	return needs, nil
}

// parseHeaders reads fields of the form "Name: value". The API takes one value
// for each name, so several are joined as a server would join them (RFC 9110,
// section 5.3; for Cookie RFC 6265, section 5.4).
func parseHeaders(args []string) (map[string]string, error) {
	headers := make(map[string]string, len(args))
	for _, arg := range args {
		name, value, ok := strings.Cut(arg, ":")
		if !ok || name == "" || strings.ContainsAny(name, " \t") {
			return nil, usage("-H %q: write 'Name: value'", arg)
		}
		name, value = textproto.CanonicalMIMEHeaderKey(name), strings.Trim(value, " \t")
		separator := ", "
		if name == "Cookie" {
			separator = "; "
		}
		if before, several := headers[name]; several {
			value = before + separator + value
		}
		headers[name] = value
	}
	return headers, nil
}
