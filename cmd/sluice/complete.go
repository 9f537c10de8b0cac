package main

import (
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice/admin/api"
)

// completeTimeout bounds the question for names: a shell waits for it.
const completeTimeout = time.Second

// source names what an argument may be, given the services there are and the
// arguments before.
type source func(all []api.Service, args []string) []string

// complete returns a completion whose n-th argument comes from the n-th source;
// there are no more arguments than sources. Whatever fails, it offers nothing
// and says nothing.
func (r *remote) complete(sources ...source) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= len(sources) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return r.offer(cmd, sources[len(args)], args)
	}
}

// completeAll is complete where the last source goes on for ever.
func (r *remote) completeAll(sources ...source) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		return r.offer(cmd, sources[min(len(args), len(sources)-1)], args)
	}
}

// completeJourney completes a service, a version of it, and up to so many of its
// journeys.
func (r *remote) completeJourney(most int) cobra.CompletionFunc {
	place := r.complete(services, versions)
	return func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
		if len(args) < 2 || len(args) >= 2+most {
			return place(cmd, args, toComplete)
		}
		quick := *r
		quick.timeout = completeTimeout
		c, err := quick.dial()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer c.Close()
		var names []string
		if m, err := c.Matrix(cmd.Context(), args[0], args[1]); err == nil {
			for _, s := range m.Services {
				names = append(names, s.Journeys...)
			}
		}
		names = slices.DeleteFunc(names, func(name string) bool { return slices.Contains(args[2:], name) })
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// offer asks the API for services and returns what the source makes of them.
func (r *remote) offer(cmd *cobra.Command, from source, args []string) ([]string, cobra.ShellCompDirective) {
	quick := *r
	quick.timeout = completeTimeout
	c, err := quick.dial()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer c.Close()
	all, err := c.Services(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names := from(all.Services, args)
	directive := cobra.ShellCompDirectiveNoFileComp
	if slices.ContainsFunc(names, func(n string) bool { return strings.HasSuffix(n, "=") }) {
		directive |= cobra.ShellCompDirectiveNoSpace
	}
	return names, directive
}

// services names the services.
func services(all []api.Service, _ []string) []string {
	var names []string
	for _, s := range all {
		names = append(names, s.Name)
	}
	return names
}

// versions names the versions of the service that is the first argument.
func versions(all []api.Service, args []string) []string {
	var names []string
	for _, s := range all {
		for _, v := range s.Versions {
			if len(args) > 0 && s.Name == args[0] {
				names = append(names, v.Name)
			}
		}
	}
	return names
}

// weights offers "v1=" for each version of the first argument that has no
// weight yet.
func weights(all []api.Service, args []string) []string {
	var offers []string
	for _, name := range versions(all, args) {
		given := func(arg string) bool { return strings.HasPrefix(arg, name+"=") }
		if !slices.ContainsFunc(args[1:], given) {
			offers = append(offers, name+"=")
		}
	}
	return offers
}

// overrides offers "web=v1" for every version of the services not yet named.
func overrides(all []api.Service, args []string) []string {
	var offers []string
	for _, s := range all {
		given := func(arg string) bool { return strings.HasPrefix(arg, s.Name+"=") }
		if slices.ContainsFunc(args, given) {
			continue
		}
		for _, v := range s.Versions {
			offers = append(offers, s.Name+"="+v.Name)
		}
	}
	return offers
}
