package admin

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// A token is 256 random bits, so nobody can try them all, and a plain SHA-256
// keeps it secret. A slow hash such as bcrypt guards passwords that people think
// up; here it would only let a caller with wrong tokens burn our CPU.
const tokenBytes = 32

// tokenPrefix lets scanners for leaked secrets recognise a token.
const tokenPrefix = "sluice_"

// hashPrefix names the hash in the file, so that another can follow.
const hashPrefix = "sha256:"

// maxTokens bounds a token file: each request is compared with every entry.
const maxTokens = 10_000

// grant is a line of the token file.
type grant struct {
	Identity
	hash [sha256.Size]byte
}

// GenerateToken makes a token for a caller. It returns the token, which is
// shown to its owner once and kept nowhere, and the line for the token file. It
// returns an error for a name, role or service that the file could not hold.
func GenerateToken(id Identity) (token, line string, err error) {
	secret := make([]byte, tokenBytes)
	rand.Read(secret) // never fails: crypto/rand ends the program instead
	token = tokenPrefix + base64.RawURLEncoding.EncodeToString(secret)
	hash := sha256.Sum256([]byte(token))
	role := id.Role.String()
	if id.Force {
		role += forceSuffix
	}
	line = fmt.Sprintf("%s %s %s%s", id.Name, role, hashPrefix, hex.EncodeToString(hash[:]))
	if len(id.Services) > 0 {
		line += " " + strings.Join(id.Services, ",")
	}
	if _, err := parseGrant(line); err != nil {
		return "", "", err
	}
	return token, line, nil
}

// parseTokens reads a token file: a line for each token,
//
//	name role[+force] sha256:<hex> [service,service…]
//
// with blank lines and lines that begin with # ignored. It returns every fault
// with its line.
func parseTokens(text []byte) ([]grant, error) {
	var grants []grant
	var faults []error
	names, hashes := map[string]int{}, map[[sha256.Size]byte]int{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	n := 0
	for lines.Scan() {
		n++
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		g, err := parseGrant(line)
		switch {
		case err != nil:
		case names[g.Name] != 0:
			err = fmt.Errorf("the name %q is taken by line %d", g.Name, names[g.Name])
		case hashes[g.hash] != 0:
			err = fmt.Errorf("the token is the same as that of line %d", hashes[g.hash])
		case len(grants) == maxTokens:
			return nil, fmt.Errorf("line %d: more than %d tokens", n, maxTokens)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("line %d: %w", n, err))
			continue
		}
		names[g.Name], hashes[g.hash] = n, n
		grants = append(grants, g)
	}
	if err := lines.Err(); err != nil {
		faults = append(faults, fmt.Errorf("line %d: %w", n+1, err))
	}
	return grants, errors.Join(faults...)
}

// validName is what names of callers and services look like.
var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`)

// parseGrant reads one line. Its errors never repeat the third field, in case
// somebody wrote a token there.
func parseGrant(line string) (grant, error) {
	var g grant
	fields := strings.Fields(line)
	if len(fields) < 3 || len(fields) > 4 {
		return g, fmt.Errorf("%d fields; a line is: name role sha256:<hex> [service,service…]", len(fields))
	}
	if !validName.MatchString(fields[0]) {
		return g, fmt.Errorf("%q is no name; use up to 64 letters, digits and . _ @ -", fields[0])
	}
	id, err := parseIdentity(fields[0], fields[1])
	if err != nil {
		return g, err
	}
	g.Identity = id
	digits, ok := strings.CutPrefix(fields[2], hashPrefix)
	hash, err := hex.DecodeString(digits)
	if !ok || err != nil || len(hash) != len(g.hash) {
		return g, fmt.Errorf("the third field must be %s and 64 hexadecimal digits; the file holds hashes of tokens, not tokens", hashPrefix)
	}
	copy(g.hash[:], hash)
	if len(fields) == 4 {
		g.Services = strings.Split(fields[3], ",")
		for _, service := range g.Services {
			if !validName.MatchString(service) {
				return g, fmt.Errorf("%q is no name of a service", service)
			}
		}
	}
	return g, nil
}

// forceSuffix follows the role of a caller who may force.
const forceSuffix = "+force"

// parseIdentity reads a name and a role, with the permission to force.
func parseIdentity(name, text string) (Identity, error) {
	text, force := strings.CutSuffix(text, forceSuffix)
	role, err := ParseRole(text)
	if err == nil && force && role < Deployer {
		err = fmt.Errorf("the role %s changes no weights, and has nothing to force", role)
	}
	return Identity{Name: name, Role: role, Force: force}, err
}

// find returns whose token it is. It compares with every grant in constant
// time, so that the time taken tells nothing about the hashes.
func find(grants []grant, token string) (Identity, bool) {
	hash := sha256.Sum256([]byte(token))
	found := -1
	for i := range grants {
		if subtle.ConstantTimeCompare(hash[:], grants[i].hash[:]) == 1 {
			found = i
		}
	}
	if found < 0 {
		return Identity{}, false
	}
	return grants[found].Identity, true
}
