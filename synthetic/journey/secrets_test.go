package journey

import (
	"strings"
	"testing"
)

// What nobody captured is masked by its name, in whatever an answer is written.
func TestSecretsByName(t *testing.T) {
	v := newValues(&Spec{Values: map[string]string{"user": "ada", "open": "a \"b\""}, Secrets: map[string]string{"password": "sesame"}})
	for text, want := range map[string]string{
		`{"jwt": "eyJ.a\"b.c", "name": "ada"}`:                         `{"jwt": "***", "name": "ada"}`,
		`{"accessToken":"abc","expires":60}`:                           `{"accessToken":"***","expires":60}`,
		`{"session_id": 4711, "next": {"csrf": true}}`:                 `{"session_id": ***, "next": {"csrf": true}}`,
		`{"tokens": ["a", "b"], "token": null}`:                        `{"tokens": ["a", "b"], "token": null}`,
		`{"token": "cut o`:                                             `{"token": "***`,
		`{"token": ""}`:                                                `{"token": ""}`,
		`{"token": "ada", "secret": "a \"b\""}`:                        `{"token": "ada", "secret": "a \"b\""}`,
		`POST /login?api_key=abc&next=/cart`:                           `POST /login?api_key=***&next=/cart`,
		`user=ada&new_password=abc&x=1`:                                `user=ada&new_password=***&x=1`,
		`<input type=hidden name="csrf_token" value="abc"> a token b`:  `<input type=hidden name="csrf_token" value="***"> a token b`,
		`<input name='csrf' value='abc'><input name=color value=blue>`: `<input name='csrf' value='***'><input name=color value=blue>`,
		`no secrets = none`:                                            `no secrets = none`,
		`the token is gone`:                                            `the token is gone`,
	} {
		if got := v.hideNamed(text); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, want)
		}
	}
}

// Masking takes time that grows with the text alone.
func FuzzHideNamed(f *testing.F) {
	for _, text := range []string{`{"token": "a"}`, `"token":"\`, `?token=&token=%`, `name=token value=`, strings.Repeat(`"token`, 100)} {
		f.Add(text)
	}
	v := newValues(&Spec{Secrets: map[string]string{"password": "sesame"}})
	f.Fuzz(func(t *testing.T, text string) {
		once := v.hideNamed(text)
		if twice := v.hideNamed(once); twice != once || len(once) > 2*len(text)+3 {
			t.Errorf("%q became %q and %q", text, once, twice)
		}
	})
}
