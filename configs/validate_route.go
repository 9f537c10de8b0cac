package configs

import (
	"fmt"
	"strings"
)

// maxPath bounds a path prefix, and with it the work of finding it.
const maxPath = 1024

func (f *File) validateRoutes(c *checker) {
	if len(f.Routes) == 0 && len(f.Services) > 1 {
		c.fail("routes", fmt.Sprintf(`add, for example, routes: [{paths: ["/"], service: %s}]`, sorted(f.Services)[0]),
			"the file declares %d services and no route to any of them", len(f.Services))
	}
	owner := map[[2]string]int{} // by host and path: the route that has them
	for i, r := range f.Routes {
		path := index("routes", i)
		if _, ok := f.Services[r.Service]; r.Service == "" {
			c.fail(path, "add service: NAME", "the route leads to no service")
		} else if !ok && !c.unsure("services") {
			c.fail(path+".service", suggest(r.Service, sorted(f.Services)), "there is no service %s", quote(r.Service))
		}
		for j, host := range r.Hosts {
			c.host(index(path+".hosts", j), host)
		}
		for j, p := range r.Paths {
			c.path(index(path+".paths", j), p)
		}
		distinct(c, path+".hosts", r.Hosts)
		distinct(c, path+".paths", r.Paths)
		f.claim(c, owner, i)
	}
}

// claim notes which hosts and paths a route has, and refuses those that lead
// to another service already.
func (f *File) claim(c *checker, owner map[[2]string]int, i int) {
	hosts := f.Routes[i].Hosts
	if len(hosts) == 0 {
		hosts = []string{""}
	}
	for _, host := range hosts {
		for _, p := range f.Routes[i].Paths {
			first, taken := owner[[2]string{host, p}]
			if !taken {
				owner[[2]string{host, p}] = i
				continue
			}
			if a, b := f.Routes[first].Service, f.Routes[i].Service; a != b {
				c.fail(index("routes", i), "keep one of them",
					"routes[%d] leads to %s and this one to %s for the same requests, for example GET http://%s%s",
					first, quote(a), quote(b), exampleHost(host), p)
			}
		}
	}
}

func exampleHost(host string) string {
	if suffix, ok := strings.CutPrefix(host, "*"); ok {
		return "www" + suffix
	}
	if host == "" {
		return "example.com"
	}
	return host
}

// host checks the host of a route.
func (c *checker) host(path, host string) {
	const want = `want a name such as shop.example.com, "*.example.com" for all below it, or an address`
	name, wildcard := strings.CutPrefix(host, "*.")
	switch {
	case host == "*":
		c.fail(path, "leave hosts out for any host", `"*" is not a host`)
	case wildcard && strings.HasPrefix(name, "["), !isHost(name):
		c.fail(path, want, "%s is not a host", quote(host))
	}
}

// path checks a path prefix.
func (c *checker) path(path, prefix string) {
	switch {
	case !strings.HasPrefix(prefix, "/"):
		c.fail(path, `want a path such as "/api"`, `%s does not start with "/"`, quote(prefix))
	case prefix == "/":
	case len(prefix) > maxPath:
		c.fail(path, fmt.Sprintf("want at most %d", maxPath), "the path has %d bytes", len(prefix))
	case strings.Contains(prefix, "*"):
		c.fail(path, "leave it out: a path takes what lies below it too", `%s has a "*"`, quote(prefix))
	case strings.HasSuffix(prefix, "/"):
		c.fail(path, fmt.Sprintf("want %s, which takes what lies below it too", quote(strings.TrimRight(prefix, "/"))), `%s ends with "/"`, quote(prefix))
	case !isVisible(prefix) || strings.ContainsAny(prefix, `?#\`):
		c.fail(path, "percent-encode it", "%s holds characters that no path of a request has", quote(prefix))
	default:
		for segment := range strings.SplitSeq(prefix[1:], "/") {
			if segment == "" || segment == "." || segment == ".." {
				c.fail(path, `want a path such as "/api/v2"`, `%s has a segment that is empty, "." or ".."`, quote(prefix))
				return
			}
		}
	}
}

// unsure tells whether what stands at a path did not decode.
func (c *checker) unsure(path string) bool { return c.broken[path] }
