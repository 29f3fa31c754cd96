//! Chat templates against jinja2: every template that llama.cpp ships, over conversations of many kinds, character for character.

mod data;
mod jinja;

use std::time::{Duration, UNIX_EPOCH};

use hearth_models::template::{ChatTemplate, TemplateError};
use jinja::{ESCAPING, LENIENCIES, NOW, oracle};
use serde_json::{Value, json};

fn without_escapes(text: &str) -> String {
    [("&#34;", "\""), ("&#39;", "'"), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")]
        .iter()
        .fold(text.into(), |text: String, (from, to)| text.replace(from, to))
}

/// Renders as the oracle does.
fn render(template: &ChatTemplate, chat: &Value) -> Result<String, TemplateError> {
    let extra = chat["extra"].as_object().cloned().unwrap_or_default();
    let prompt = chat["add_generation_prompt"].as_bool().unwrap();
    template.render_at(&chat["messages"], &chat["tools"], prompt, &extra, UNIX_EPOCH + Duration::from_secs(NOW))
}

/// Expressions and statements as templates use them, over one context.
const SNIPPETS: &[&str] = &[
    // values printed as Python prints them
    "{{ true }} {{ none }} {{ 1.0 }} {{ 0.1 + 0.2 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % -3 }} {{ 2 ** 10 }} {{ 7 / 2 }}",
    "{{ [1, 'a', \"it's\", none, true, 1.5] }} {{ {'a': 1, 'b': [2, {'c': 'd'}]} }} {{ (1, 2) }} {{ 'a' ~ 1 ~ none ~ true }}",
    "{{ messages[0] }}|{{ messages[0].nothing }}|{{ nothing }}|{{ messages | length }}|{{ 'x' * 3 }}|{{ [1] * 2 }}",
    "{{ 'tab\\tquote\\' \\\"x\\\" \\\\ \\n' }}{{ ['tab\\tquote\\'', \"a'b\", 'é\\n'] }}",
    // tests
    "{% for v in ['s', 1, 1.5, true, none, [1], {'a': 1}, nothing] %}{{ v is string }} {{ v is number }} {{ v is integer }} {{ v is float }} {{ v is boolean }} {{ v is mapping }} {{ v is sequence }} {{ v is iterable }} {{ v is none }} {{ v is defined }} {{ v is true }}\n{% endfor %}",
    "{{ 'ab' is lower }} {{ 'AB' is upper }} {{ 3 is odd }} {{ 4 is divisibleby 2 }} {{ 1 is eq 1 }} {{ 'a' is in 'abc' }} {{ 2 is sameas 2 }} {{ 'x' in {'x': 1} }} {{ none is not none }}",
    // strings
    "{{ ' a b '.strip() }}|{{ ' a '.lstrip() }}|{{ ' a '.rstrip() }}|{{ 'xxaxx'.strip('x') }}|{{ 'a,b,,c'.split(',') }}|{{ ' a  b c '.split() }}|{{ 'a-b-c'.split('-', 1) }}|{{ 'a-b-c'.rsplit('-', 1) }}|{{ ' a b c'.rsplit(none, 1) }}",
    "{{ 'abc'.startswith('ab') }} {{ 'abc'.endswith(('x', 'bc')) }} {{ 'abcabc'.find('c') }} {{ 'abcabc'.rfind('c') }} {{ 'abc'.find('z') }} {{ 'abcabc'.index('b') }} {{ 'abcabc'.count('b') }} {{ 'a-b'.partition('-') }} {{ 'a-b-c'.rpartition('-') }} {{ 'ab'.partition('x') }}",
    "{{ 'abc'.upper() }} {{ 'ABC'.lower() }} {{ 'hello wORLD'.title() }} {{ 'hello wORLD'.capitalize() }} {{ 'aBc'.swapcase() }} {{ 'abc'.replace('b', 'x') }} {{ 'aaa'.replace('a', 'b', 2) }} {{ 'prefix-x'.removeprefix('prefix-') }} {{ 'x.py'.removesuffix('.py') }}",
    "{{ '12'.isdigit() }} {{ 'a1'.isalnum() }} {{ 'ab'.isalpha() }} {{ ' '.isspace() }} {{ 'ab'.islower() }} {{ 'AB'.isupper() }} {{ '7'.zfill(3) }} {{ '-7'.zfill(4) }} {{ 'a'.ljust(3, '.') }} {{ 'a'.rjust(3) }} {{ 'ab'.center(5, '*') }} {{ 'abc'.center(6, '*') }}",
    "{{ 'a\nb\r\nc\n'.splitlines() }} {{ 'a\nb'.splitlines(true) }} {{ ''.splitlines() }} {{ ', '.join(['a', 'b']) }} {{ '{} and {}'.format('a', 1) }} {{ '{x}!'.format(x='y') }} {{ '%s-%s' | format('a', 2) }} {{ '%.2f' | format(1.005) }}",
    "{{ 'hello'[1:3] }} {{ 'hello'[-3:] }} {{ 'hello'[::-1] }} {{ 'hello'[0] }} {{ 'żółw'[1:] }} {{ 'hello' | first }} {{ 'hello' | last }} {{ 'hello' | length }} {{ 'hello' | reverse }} {{ 'abc' | list }}",
    // filters
    "{{ [3, 1, 2] | sort }} {{ [3, 1, 2] | sort(reverse=true) }} {{ ['b', 'A'] | sort }} {{ ['b', 'A'] | sort(case_sensitive=true) }} {{ [1, 2, 1] | unique | list }} {{ [1, 2, 3] | sum }} {{ [1, 2] | min }} {{ [1, 2] | max }} {{ [1, 2, 3] | batch(2) | list }} {{ [1, 2, 3] | first }} {{ [] | first }}",
    "{{ messages | map(attribute='role') | join(', ') }} {{ messages | selectattr('role', 'equalto', 'user') | list | length }} {{ messages | rejectattr('role', 'equalto', 'user') | map(attribute='content') | list }} {{ [1, 2, 3] | select('odd') | list }} {{ ['a', 'b'] | map('upper') | list }} {{ messages | groupby('role') | length }}",
    "{{ {'b': 1, 'a': 2} | dictsort }} {{ {'b': 1, 'a': 2} | items | list }} {{ {'b': 1}.items() | list }} {{ {'b': 1}.keys() | list }} {{ {'b': 1}.values() | list }} {{ {'b': 1}.get('b') }} {{ {'b': 1}.get('c') }} {{ {'b': 1}.get('c', 5) }} {{ {'a': 1} | length }} {{ {'a': 1} == {'a': 1} }}",
    "{{ nothing | default('d') }} {{ '' | default('d') }} {{ '' | default('d', true) }} {{ none | default('d') }} {{ none | d('d', boolean=true) }} {{ nothing | default(default_value='e') }} {{ nothing | d }} {{ '3' | int }} {{ 'x' | int(7) }} {{ '1.5' | float }} {{ 3.7 | int }} {{ 3.7 | round }} {{ 2.5 | round }} {{ 3.14159 | round(2) }} {{ -3 | abs }} {{ 3 | string }} {{ 42 | string | length }}",
    "{{ ' a ' | trim }} {{ 'xax' | trim('x') }} {{ 'a' | upper }} {{ 'a b' | title }} {{ 'a b' | capitalize }} {{ 'aXb' | lower }} {{ 'abc' | replace('b', '') }} {{ 'a<b>&\"' | e }} {{ 'a<b>' | safe }} {{ 'a b c' | wordcount }}",
    "{{ 'a\nb\n\nc\n' | indent }}|{{ 'a\nb\n' | indent(2, true) }}|{{ 'a\n\nb' | indent(2, blank=true) }}|{{ 'a\nb' | indent('> ') }}|{{ 'a\nb' | indent(width=1, first=true) }}",
    "{{ {'a': [1, 2.5, none, true, 'ż<&>\\'\"\\n\\u007f'], 'b': {}} | tojson }} {{ [] | tojson }} {{ {'a': [1, {'b': []}], 'c': {}} | tojson(indent=2) }} {{ {'b': 'é😀', 'a': 1} | tojson(ensure_ascii=true, sort_keys=true) }} {{ [1, 2] | tojson(separators=(',', ':')) }} {{ 'x' | tojson }} {{ 1.0 | tojson }} {{ [1] | tojson(indent=4) }}",
    // statements
    "{% for i in range(5) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 4 %}{% break %}{% endif %}{{ loop.index }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.revindex0 }} {% endfor %}",
    "{% for m in messages %}{{ loop.previtem.role if loop.previtem is defined }}>{{ m.role }}>{{ loop.nextitem.role if loop.nextitem }} {% else %}none{% endfor %}{% for x in [] %}{% else %}empty{% endfor %}",
    "{% set ns = namespace(n=0, found=false) %}{% for m in messages if m.role == 'user' %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}{{ ns.found }}{% set x = 1 %}{% for i in [1] %}{% set x = 2 %}{% endfor %}{{ x }}{% if true %}{% set x = 3 %}{% endif %}{{ x }}",
    "{% macro f(a, b='d', c=none) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ f(1) }}{{ f(1, 2) }}{{ f(1, c=3) }}{{ f(a=1, b=2) }}{% macro g() %}[{{ caller() }}]{% endmacro %}{% call g() %}x{% endcall %}",
    "{% macro tree(v, depth=0) %}{{ '  ' * depth }}{% if v is mapping %}{% for k, x in v.items() %}{{ k }}:{{ tree(x, depth + 1) }}{% endfor %}{% else %}{{ v }}{% endif %}{% endmacro %}{{ tree({'a': {'b': 1, 'c': {'d': 2}}}) }}",
    "  {% if true %}\n    a\n  {%- endif +%}\n b {# comment #}\n  {# line #}\nc {%+ if true %} d {% endif %}\n\n{{- 'x' -}}\n  y\n",
    "{% set text %}a{{ 1 }}b{% endset %}{{ text }}{{ text | length }}{% filter upper %}abc{% endfilter %}{% raw %}{{ x }}{% endraw %}{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{% set a, b = [1, 2] %}{{ a }}{{ b }}",
    "{% generation %}\n  a{% set hidden = 1 %}\n{% endgeneration %}\nb{{ hidden is defined }} {%- generation -%} c {%- endgeneration -%} d",
    "{{ 'a' if true }}{{ 'a' if false }}|{{ 'a' if false else 'b' }}{{ 1 < 2 < 3 }}{{ not true or false and true }}{{ 1 == 1.0 }}{{ 'a' != 'b' }}{{ [1, 2] + [3] }}{{ 'a' in ['a'] }}{{ 'x' not in 'abc' }}",
    "{{ strftime_now('%d %B %Y %H:%M:%S %a %j %p %-d %y') }}{{ bos_token }}{{ eos_token }}{% set j = joiner('-') %}{{ j() }}x{{ j() }}{{ dict(a=1, b=2) }}{{ range(3) | list }}{{ range(10, 0, -3) | list }}",
    "{% for a, b in [[1, 2], [3, 4]] %}{{ a }}-{{ b }} {% endfor %}{% for k in {'x': 1, 'y': 2} %}{{ k }}{% endfor %}{% for c in 'abc' %}{{ c }}.{% endfor %}{% for x in [1, 2, 3, 4] | reverse %}{{ x }}{% endfor %}{{ messages[-1].role }}{{ messages[1:][0].role }}{{ messages[::2] | length }}",
    "{{ schema.properties.items is defined }}|{{ schema['items'] }}|{{ schema.keys() | list }}|{{ schema.type }}|{% for k, v in schema.properties.items() %}{{ k }}={{ v.type }}{% endfor %}|{{ schema.get('items').type }}",
    "{{ raise_exception('No: ' ~ messages[0].role) }}",
    "{{ nothing.x }}",
    "{{ messages[0].content.foo }}|{{ messages[9] }}|{{ messages[0]['nothing'] is undefined }}|{{ (nothing or 'x') }}|{{ nothing is undefined and true }}",
    "{% if %}",
];

#[test]
fn snippets_render_as_in_jinja2() {
    let messages = json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "It's \"7\" ż\n"}, {"role": "user", "content": "?"}]);
    let schema =
        json!({"type": "array", "items": {"type": "string"}, "properties": {"a": {"type": "number"}, "items": {"type": "object"}}});
    let chat = json!({ "messages": messages, "tools": null, "add_generation_prompt": true, "extra": { "schema": schema } });
    let Some(expected) = oracle(&json!({ "templates": SNIPPETS, "chats": [chat], "bos": "<s>", "eos": "</s>", "now": NOW })) else {
        return;
    };
    let mut differing = Vec::new();
    for (snippet, expected) in SNIPPETS.iter().zip(expected) {
        let got = ChatTemplate::new(snippet, "<s>", "</s>").and_then(|template| render(&template, &chat));
        match (expected[0]["text"].as_str(), got) {
            (Some(expected), Ok(got)) if expected == got => {}
            (None, Err(_)) => {}
            (_, got) => differing.push(format!("{snippet}\n  expected {}\n       got {got:?}", expected[0])),
        }
    }
    assert!(differing.is_empty(), "{} differ:\n{}", differing.len(), differing.join("\n"));
}

#[test]
fn templates_render_as_jinja2_does() {
    let Some(folder) = data::require(&format!("{}/models/templates", data::LLAMA_CPP)) else { return };
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "jinja"));
    files.sort();
    assert!(files.len() >= 70, "{} templates", files.len());
    let chats: Vec<Value> = serde_json::from_str(include_str!("chats.json")).unwrap();
    let sources: Vec<String> = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let Some(expected) = oracle(&json!({ "templates": sources, "chats": chats, "bos": "<s>", "eos": "</s>", "now": NOW })) else { return };

    let (mut rendered, mut refused, mut lenient, mut differing) = (0, 0, 0, Vec::new());
    for ((file, source), expected) in files.iter().zip(&sources).zip(expected) {
        let name = file.file_stem().unwrap().to_string_lossy();
        let template = ChatTemplate::new(source, "<s>", "</s>");
        for (chat, expected) in chats.iter().zip(expected) {
            let got = template
                .as_ref()
                .map_err(|error| error.to_string())
                .and_then(|template| render(template, chat).map_err(|error| error.to_string()));
            match (expected["text"].as_str(), got) {
                (Some(expected), Ok(got)) if expected == got => rendered += 1,
                (Some(expected), Ok(got)) if name == ESCAPING && without_escapes(expected) == without_escapes(&got) => rendered += 1,
                (None, Err(got)) => {
                    // What a template raises reaches the caller word for word.
                    let raised = expected["error"].as_str().and_then(|error| error.strip_prefix("TemplateError: "));
                    assert!(
                        raised.is_none_or(|raised| got.ends_with(raised)),
                        "{name}: {}: expected {raised:?}, got {got:?}",
                        chat["name"]
                    );
                    refused += 1;
                }
                (None, Ok(_)) if expected["error"].as_str().is_some_and(|error| LENIENCIES.contains(&error)) => lenient += 1,
                (expected_text, got) => {
                    differing.push(format!(
                        "{name}: {}\n  expected {:?}\n       got {got:?}",
                        chat["name"],
                        expected_text.ok_or(&expected["error"])
                    ));
                }
            }
        }
    }
    eprintln!("{} templates: {rendered} renderings are equal, {refused} refused by both, {lenient} by jinja2 only", files.len());
    assert!(differing.is_empty(), "{} differ:\n{}", differing.len(), differing.join("\n"));
    assert!(rendered > 40 * files.len(), "only {rendered} renderings without an error");
}

/// The string literals of a line of C++; their escapes are JSON's.
fn literals(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some(start) = rest.find('"') {
        let mut escaped = false;
        let end = rest[start + 1..].find(|char| {
            let ends = char == '"' && !escaped;
            escaped = char == '\\' && !escaped;
            ends
        });
        let end = start + 1 + end.expect("a literal that ends on its line");
        found.push(serde_json::from_str(&rest[start..=end]).expect("escapes of JSON"));
        rest = &rest[end + 1..];
    }
    found
}

/// Templates that know no system message: there llama.cpp puts it before the first of the user's, which is not the template's work.
const SYSTEM_FOLDED: &[&str] = &[
    "mistralai/Mistral-7B-Instruct-v0.2 (NOTE: Old pre-v1 without a system prompt)",
    "google/gemma-7b-it",
    "OrionStarAI/Orion-14B-Chat",
    "Phi-3-mini",
    "Phi-3-medium",
    "yandex/YandexGPT-5-Lite-8B-instruct",
];

#[test]
fn templates_render_as_llama_cpp_expects() {
    let Some(file) = data::require(&format!("{}/tests/test-chat-template.cpp", data::LLAMA_CPP)) else { return };
    let source = std::fs::read_to_string(file).unwrap();
    let messages = [
        ("system", "You are a helpful assistant"),
        ("user", "Hello"),
        ("assistant", "Hi there"),
        ("user", "Who are you"),
        ("assistant", "   I am an assistant   "),
        ("user", "Another question"),
    ];
    let mut equal = 0;
    let mut differing = Vec::new();
    for case in source.split("/* .name= */").skip(1) {
        let field = |name: &str| case.lines().find(|line| line.contains(&format!("/* .{name}= */")));
        let text = |name: &str| field(name).and_then(|line| literals(line).into_iter().next()).unwrap_or_default();
        let name = literals(case.lines().next().unwrap()).remove(0);
        if field("supported_with_jinja").is_some_and(|line| line.contains("false")) || field("template_str").is_none() {
            continue;
        }
        let mut chat: Vec<Value> = messages.iter().map(|(role, content)| json!({ "role": role, "content": content })).collect();
        if SYSTEM_FOLDED.contains(&name.as_str()) {
            chat.remove(0);
            chat[0]["content"] = format!("{}\n{}", messages[0].1, messages[1].1).into();
        }
        let extra = field("extra_conversation").map(literals).unwrap_or_default();
        chat.extend(extra.chunks_exact(2).map(|pair| json!({ "role": pair[0], "content": pair[1] })));
        let expected = Some(text("expected_output_jinja")).filter(|text| !text.is_empty()).unwrap_or_else(|| text("expected_output"));
        let template = ChatTemplate::new(&text("template_str"), &text("bos_token"), &text("eos_token")).unwrap();
        let got = template.render(&Value::from(chat), &Value::Null, true, &serde_json::Map::new());
        match got {
            Ok(got) if got == expected => equal += 1,
            got => differing.push(format!("{name}\n  expected {expected:?}\n       got {got:?}")),
        }
    }
    eprintln!("{equal} expected texts are equal");
    assert!(differing.is_empty(), "{} differ:\n{}", differing.len(), differing.join("\n"));
    assert!(equal >= 20, "only {equal} expected texts were found");
}

fn refusal(source: &str) -> String {
    let template = ChatTemplate::new(source, "", "").unwrap();
    let messages = json!([{"role": "user", "content": "x".repeat(100_000)}]);
    match template.render(&messages, &Value::Null, true, &serde_json::Map::new()) {
        Err(TemplateError::Render(problem)) => problem,
        other => panic!("{source}: {other:?}"),
    }
}

#[test]
fn hostile_templates_are_refused() {
    assert!(refusal("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}").contains("steps"));
    assert!(refusal("{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}").contains("recursion"));
    assert!(refusal("{{ 'x' * 90000000 }}").contains("bytes"));
    assert!(refusal("{% for i in range(200) %}{{ messages[0].content }}{% endfor %}").contains("bytes"));
    assert!(refusal("{% set ns = namespace(x='xx') %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}").contains("steps"));
    assert!(refusal("{{ messages | map('map') | list }}{{ 1 / 0 }}").contains("line 1"));
    assert_eq!(refusal("{{ raise_exception('Only users may speak') }}"), "Only users may speak");
}

#[test]
fn templates_that_do_not_compile_say_so() {
    for source in [
        "{% if %}",
        "{{ x",
        "{% for %}{% endfor %}",
        "{% include 'x' %}{% endif %}",
        &"(".repeat(100_000),
        &format!("{{{{ {}1 }}}}", "(".repeat(10_000)),
    ] {
        assert!(!matches!(ChatTemplate::new(source, "", ""), Err(TemplateError::Render(_))));
    }
    assert!(matches!(ChatTemplate::new("a\n{% if %}", "", ""), Err(TemplateError::Syntax(problem)) if problem.contains("line 2")));
    assert!(matches!(ChatTemplate::new(&"x".repeat(2 << 20), "", ""), Err(TemplateError::Syntax(_))));
}
