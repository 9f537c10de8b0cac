package configs

import "strings"

// maxScalar bounds one value after substitution, so that a variable cannot
// smuggle in more than a file may hold.
const maxScalar = 1 << 20

// expand replaces ${NAME} and ${NAME:-default} in one scalar. As in a shell,
// the default stands in for a variable that is unset or empty. "$${" gives a
// literal "${"; any other dollar stays. The result is a plain value: it is
// never read as YAML again, and never expanded again.
func expand(text string, getenv func(string) (string, bool)) (string, error) {
	if !strings.Contains(text, "${") {
		return text, nil
	}
	var b strings.Builder
	for {
		at := strings.Index(text, "${")
		if at < 0 {
			break
		}
		if at > 0 && text[at-1] == '$' {
			b.WriteString(text[:at-1] + "${")
			text = text[at+2:]
			continue
		}
		end := strings.IndexByte(text[at:], '}')
		if end < 0 {
			return "", problemf(`close it with "}", or write "$${" for a literal "${"`, "unfinished %s", quote(text[at:]))
		}
		b.WriteString(text[:at])
		value, err := lookup(text[at+2:at+end], getenv)
		if err != nil {
			return "", err
		}
		b.WriteString(value)
		if b.Len() > maxScalar {
			return "", problemf("", "value longer than %d bytes after substitution", maxScalar)
		}
		text = text[at+end+1:]
	}
	b.WriteString(text)
	return b.String(), nil
}

// lookup gives the value of what stood between the braces.
func lookup(expr string, getenv func(string) (string, bool)) (string, error) {
	name, fallback, hasFallback := strings.Cut(expr, ":-")
	if !isEnvName(name) {
		return "", problemf("want ${NAME} or ${NAME:-default}", "%s is not the name of an environment variable", quote(name))
	}
	value, set := getenv(name)
	switch {
	case hasFallback && value == "":
		return fallback, nil
	case !set:
		return "", problemf("set it, or give a default: ${"+name+":-default}", "environment variable %s is not set", name)
	}
	return value, nil
}

func isEnvName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !isLetter(c) && c != '_' && (i == 0 || !isDigit(c)) {
			return false
		}
	}
	return s != ""
}
