"""Go's templates: what they give, what they complain about, and that nothing typed can crash them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.cli.format.rows import Kind, Row
from wherry.cli.format.template.engine import Struct, Template, TemplateError
from wherry.cli.format.template.printing import number, sprintf

DATA = {
    "Name": "web",
    "Id": "0123456789ab",
    "Count": 3,
    "Pi": 3.5,
    "On": True,
    "None": None,
    "List": ["b", "a"],
    "Numbers": [1, 2],
    "Empty": [],
    "Map": {"k": "v", "a": "z"},
    "Deep": {"Er": {"Value": "x"}},
}

GIVES = {
    "plain": "plain",
    "{{.Name}}": "web",
    "{{ .Name }}!": "web!",
    "a {{- .Name -}} b": "awebb",
    "a {{/* comment */ -}} b": "a b",
    "{{.Deep.Er.Value}}": "x",
    "{{(.Deep).Er.Value}}": "x",
    "{{.Missing}}": "<no value>",
    "{{.Missing.More}}": "<no value>",
    "{{.None}}": "<nil>",
    "{{.List}} {{.Map}} {{.Numbers}} {{.Pi}} {{.On}}": "[b a] map[a:z k:v] [1 2] 3.5 true",
    "{{if .On}}yes{{else}}no{{end}}": "yes",
    "{{if .Empty}}yes{{else if .Count}}three{{else}}no{{end}}": "three",
    "{{range .List}}<{{.}}>{{end}}": "<b><a>",
    "{{range $i, $e := .List}}{{$i}}={{$e}};{{end}}": "0=b;1=a;",
    "{{range $k, $v := .Map}}{{$k}}={{$v}};{{end}}": "a=z;k=v;",
    "{{range .Empty}}x{{else}}none{{end}}": "none",
    "{{range .Numbers}}{{if eq . 2}}{{break}}{{end}}{{.}}{{end}}": "1",
    "{{range .Numbers}}{{if eq . 1}}{{continue}}{{end}}{{.}}{{end}}": "2",
    "{{range 3}}{{.}}{{end}}": "012",
    "{{with .Deep}}{{.Er.Value}}{{end}}{{with .None}}x{{else}}y{{end}}": "xy",
    "{{$x := .Name}}{{$x}}{{$x = 5}}{{$x}}": "web5",
    "{{$.Name}}": "web",
    '{{define "t"}}[{{.}}]{{end}}{{template "t" .Name}}': "[web]",
    '{{block "b" .Count}}({{.}}){{end}}': "(3)",
    '{{.Name | upper | printf "%s-%d" "x" 3 | len}}': "23",
    '{{upper .Name}} {{lower "ABC"}} {{title "ab cd"}}': "WEB abc Ab Cd",
    '{{join .List ","}} {{split "a:b" ":"}}': "b,a [a b]",
    '{{pad .Name 1 2}}|{{pad "" 1 2}}|': " web  ||",
    "{{truncate .Id 4}} {{truncate .Name 9}}": "0123 web",
    "{{json .Map}} {{json .Name}} {{json .None}} {{json .List}}": '{"k":"v","a":"z"} "web" null ["b","a"]',
    '{{json "<&>"}}': '"<&>"',
    '{{index .List 1}} {{index .Map "k"}} {{index .Map "no"}}': "a v <no value>",
    "{{slice .Id 2 4}} {{len .List}} {{len .Name}}": "23 2 3",
    "{{and .On .Name}} {{or .Empty .Name}} {{not .On}}": "web web false",
    "{{eq .Count 1 3}} {{ne .Count 3}} {{lt .Count 4}}": "true false true",
    "{{le .Count 3}} {{gt .Count 2}} {{ge .Count 4}}": "true true false",
    '{{eq .Name "web"}} {{lt "a" "b"}}': "true true",
    "{{and false (index .List 99)}}": "false",
    '{{print 1 2 "x" 3}} {{print "a" "b"}}': "1 2x3 ab",
    "{{println .Name 1}}": "web 1\n",
    '{{html "<a>"}} {{urlquery "a b&"}} {{js "a\'b"}}': "&lt;a&gt; a+b%26 a\\'b",
    '{{printf "%v|%s|%q|%5d|%-5s" .List "s" "q" 7 "l"}}': '[b a]|s|"q"|    7|l    ',
    '{{printf "%05.2f|%x|%t|%%|%T" 1.5 255 true 1}}': "01.50|ff|true|%|int",
    '{{printf "%d" "x"}} {{printf "%s"}} {{printf "a" 1}}': "%!d(string=x) %!s(MISSING) a%!(EXTRA int=1)",
    "{{'a'}} {{0x10}} {{1e3}} {{`raw\\n`}} {{\"t\\tx\"}}": "97 16 1000 raw\\n t\tx",
    "{{true}} {{1.50}}": "true 1.5",
}


@pytest.mark.parametrize(("source", "text"), GIVES.items())
def test_gives(source, text):
    assert Template(source).render(DATA) == text


COMPLAINS = {
    "{{": "template: :1: unclosed action",
    "{{.Name": "template: :1: unclosed action",
    "{{/* x": "template: :1: unclosed comment",
    "{{end}}": "template: :1: unexpected {{end}}",
    "{{if .On}}": "template: :1: unexpected EOF",
    "{{if}}x{{end}}": "template: :1: missing value for if",
    "{{}}": "template: :1: missing value for command",
    "{{foo}}": 'template: :1: function "foo" not defined',
    "{{$x}}": 'template: :1: undefined variable "$x"',
    "{{.Name}": "template: :1: bad character U+007D '}'",
    '{{"x}}': "template: :1: unterminated quoted string",
    "{{`x}}": "template: :1: unterminated raw quoted string",
    "{{(.Name}}": "template: :1: unclosed left paren",
    "{{.Name)}}": "template: :1: unexpected right paren",
    "{{1a}}": 'template: :1: bad number syntax: "1a"',
    '{{"a" | 3}}': "template: :1: non executable command in pipeline stage 2",
    "{{break}}": "template: :1: {{break}} outside {{range}}",
    "\n{{.Name | nil}}": "template: :2: non executable command in pipeline stage 2",
    '{{"a".b}}': 'template: :1: unexpected . after term "\\"a\\""',
    '{{template "t"}}': 'template: :1:11: executing "" at <{{template "t"}}>: template "t" not defined',
    "{{.Name.Foo}}": 'template: :1:7: executing "" at <.Name.Foo>: can\'t evaluate field Foo in type string',
    "{{index .List 9}}": 'template: :1:2: executing "" at <index .List 9>: error calling index: index out of range: 9',
    "{{upper 3}}": 'template: :1:8: executing "" at <3>: expected string; found 3',
    "{{upper .Count}}": 'template: :1:8: executing "" at <.Count>: wrong type for value; expected string; got int',
    "{{upper}}": 'template: :1:2: executing "" at <upper>: wrong number of args for upper: want 1 got 0',
    "{{eq .Pi 3}}": 'template: :1:2: executing "" at <eq .Pi 3>: error calling eq: incompatible types for comparison',
    "{{range .Count | not}}{{end}}": 'template: :1:17: executing "" at <not>: range can\'t iterate over false',
    "{{.Name 3}}": 'template: :1:2: executing "" at <.Name>: Name is not a method but has arguments',
    "{{3 4}}": 'template: :1:2: executing "" at <3>: can\'t give argument to non-function 3',
    "{{nil}}": 'template: :1:2: executing "" at <nil>: nil is not a command',
}


@pytest.mark.parametrize(("source", "message"), COMPLAINS.items())
def test_complains(source, message):
    with pytest.raises(TemplateError) as caught:
        Template(source).render(DATA)
    assert str(caught.value) == message


def test_a_strict_template_refuses_a_missing_key():
    with pytest.raises(TemplateError, match=r'at <\.Nope>: map has no entry for key "Nope"'):
        Template("{{.Nope}}", strict=True).render(DATA)


def test_structures_refuse_fields_they_do_not_have():
    data = Struct("system.info", {"A": 1})
    assert Template("{{.A}}").render(data) == "1"
    with pytest.raises(TemplateError, match=r"can't evaluate field B in type system\.info"):
        Template("{{.B}}").render(data)


def test_rows_have_fields_and_methods():
    kind = Kind("*t", {"A": "HEAD"}, {"A": lambda data: data}, {"Label": lambda data, name: f"{data}/{name}"})
    row = Row(kind, "x<")
    assert Template('{{.A}} {{.Label "l"}} {{"m" | .Label}} {{json .}}').render(row) == 'x< x</l x</m {"A":"x\\u003c"}'
    assert row.used == {"A"}


def test_templates_that_call_themselves_end():
    with pytest.raises(TemplateError, match="exceeded maximum template depth"):
        Template('{{define "t"}}{{template "t"}}{{end}}{{template "t"}}').render(DATA)


PIECES = st.sampled_from(
    "{{ }} {{- -}} .Name .List .Map . $ $x := = , | ( ) if range with else end define template block break continue "
    'eq index printf json join split upper len and or not slice print nil true 1 -1 2.5 0x "a" `b` \'c\' "%d" /* */ '
    "text \n \t \\ % . .. .a.b x".split(" ")
)


@given(st.lists(PIECES, max_size=12).map("".join) | st.lists(PIECES, max_size=12).map(" ".join) | st.text())
def test_nothing_typed_crashes_it(source):
    for candidate in (source, f"{{{{{source}}}}}"):
        with suppress(TemplateError):
            Template(candidate).render(DATA)


@given(st.text(), st.lists(st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text())))
def test_printf_prints_something_for_anything(template, values):
    assert isinstance(sprintf(template, values), str)


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, "1"), (0.1, "0.1"), (1e20, "100000000000000000000"), (1e21, "1e+21"), (1e-5, "1e-05"), (1.5e-7, "1.5e-07")],
)
def test_floats_print_as_in_go(value, text):
    assert number(value) == text
