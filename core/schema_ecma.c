/* ECMA-262 patterns (flag u) written anew for PCRE2.
 *
 * Read as the grammar of ECMA-262 §22.2.1 has it, with what its annex B tolerates: ']', '{' and '}' may stand
 * for themselves, and so may any punctuation behind a backslash. Letters behind a backslash that mean nothing
 * are errors, so that Perl's \A, \Z, \Q, \R, \K and the rest are not let through. */
#include "schema_regex.h"
#include "json_text.h"

#include <string.h>

#define NONE 0xFFFFFFFFU
#define MAX_CODE 0x10FFFFU

struct reader {
	const char *start, *at, *end;
	struct buf *out;
	unsigned groups; /* open ones */
	struct err *err;
};

/* White space and line ends as ECMA-262 counts them (§12.2, §12.3). */
static const char SPACES[] =
        "\\t\\n\\x{b}\\x{c}\\r \\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}"
        "\\x{205f}\\x{3000}\\x{feff}";
/* What lies between them. */
static const char NOT_SPACES[] =
        "\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}"
        "\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}"
        "\\x{3001}-\\x{fefe}\\x{ff00}-\\x{10ffff}";

static bool fail(struct reader *r, const char *what)
{
	return err_set(r->err, "%s at character %zu", what, (size_t)(r->at - r->start) + 1);
}

static bool next_is(const struct reader *r, char c)
{
	return r->at < r->end && *r->at == c;
}

static bool follows(const struct reader *r, const char *text)
{
	size_t size = strlen(text);
	return (size_t)(r->end - r->at) >= size && memcmp(r->at, text, size) == 0;
}

static bool take(struct reader *r, const char *text)
{
	if (!follows(r, text))
		return false;
	r->at += strlen(text);
	return true;
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* One character of the pattern as it stands, all its bytes. */
static unsigned take_character(struct reader *r)
{
	const unsigned char *at = (const unsigned char *)r->at;
	unsigned lead = *at, size = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
	unsigned code = size == 1 ? lead : lead & (0x7F >> size);
	for (unsigned i = 1; i < size; i++)
		code = code << 6 | (at[i] & 0x3F);
	r->at += size;
	return code;
}

/* Always true, so that a rule of the grammar can end in it: a full buffer is looked for once, at the end. */
static bool put(struct reader *r, const char *text)
{
	buf_append_text(r->out, text);
	return true;
}

static bool put_next(struct reader *r)
{
	buf_append_byte(r->out, *r->at++);
	return true;
}

static void put_code(struct buf *out, unsigned code)
{
	if (code < 0x80 && (is_letter((char)code) || is_digit((char)code)))
		buf_append_byte(out, (char)code);
	else
		buf_printf(out, "\\x{%x}", code);
}

/* ---- escapes ---- */

/* Exactly `digits` hexadecimal digits, or NONE. */
static unsigned take_hex(struct reader *r, int digits)
{
	unsigned value = 0;
	if (r->end - r->at < digits)
		return NONE;
	for (int i = 0; i < digits; i++) {
		unsigned digit = json_hex[(unsigned char)r->at[i]];
		if (digit == 0)
			return NONE;
		value = value << 4 | (digit - 1);
	}
	r->at += digits;
	return value;
}

/* Behind \u: four digits, two such halves of a pair, or {digits}. */
static unsigned take_unicode(struct reader *r)
{
	if (!next_is(r, '{')) {
		unsigned high = take_hex(r, 4);
		if (high == NONE || (high & 0xFC00) != 0xD800)
			return high != NONE && (high & 0xFC00) == 0xDC00 ? NONE : high;
		unsigned low = take(r, "\\u") ? take_hex(r, 4) : NONE;
		return low == NONE || (low & 0xFC00) != 0xDC00
		               ? NONE
		               : 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
	}
	unsigned value = 0, digits = 0;
	for (r->at++; r->at < r->end && *r->at != '}'; r->at++, digits++) {
		unsigned digit = json_hex[(unsigned char)*r->at];
		if (digit == 0 || value > MAX_CODE)
			return NONE;
		value = value << 4 | (digit - 1);
	}
	return take(r, "}") && digits && value <= MAX_CODE && (value & 0xFFFFF800U) != 0xD800 ? value : NONE;
}

/* Behind a backslash: the character that is meant, or NONE when it is no escape of a character. */
static unsigned take_character_escape(struct reader *r)
{
	static const char names[] = "tnvfr";
	static const char values[] = "\t\n\v\f\r";
	const char *name = memchr(names, *r->at, sizeof names - 1);
	if (name) {
		r->at++;
		return (unsigned char)values[name - names];
	}
	if (take(r, "u"))
		return take_unicode(r);
	if (take(r, "x"))
		return take_hex(r, 2);
	if (*r->at == 'c') {
		if (r->end - r->at < 2 || !is_letter(r->at[1]))
			return NONE;
		r->at += 2;
		return (unsigned)r->at[-1] % 32;
	}
	if (*r->at == '0' && !(r->end - r->at > 1 && is_digit(r->at[1]))) {
		r->at++;
		return 0;
	}
	return is_letter(*r->at) || is_digit(*r->at) ? NONE : take_character(r);
}

/* General categories by the long names that ECMA allows and PCRE2 does not know. */
static const char *const CATEGORIES[][2] = {{"Letter", "L"}, {"Lowercase_Letter", "Ll"},
        {"Uppercase_Letter", "Lu"}, {"Titlecase_Letter", "Lt"}, {"Cased_Letter", "L&"},
        {"Modifier_Letter", "Lm"}, {"Other_Letter", "Lo"}, {"Mark", "M"}, {"Nonspacing_Mark", "Mn"},
        {"Spacing_Mark", "Mc"}, {"Enclosing_Mark", "Me"}, {"Number", "N"}, {"Decimal_Number", "Nd"},
        {"digit", "Nd"}, {"Letter_Number", "Nl"}, {"Other_Number", "No"}, {"Punctuation", "P"},
        {"punct", "P"}, {"Connector_Punctuation", "Pc"}, {"Dash_Punctuation", "Pd"},
        {"Open_Punctuation", "Ps"}, {"Close_Punctuation", "Pe"}, {"Initial_Punctuation", "Pi"},
        {"Final_Punctuation", "Pf"}, {"Other_Punctuation", "Po"}, {"Symbol", "S"}, {"Math_Symbol", "Sm"},
        {"Currency_Symbol", "Sc"}, {"Modifier_Symbol", "Sk"}, {"Other_Symbol", "So"}, {"Separator", "Z"},
        {"Space_Separator", "Zs"}, {"Line_Separator", "Zl"}, {"Paragraph_Separator", "Zp"}, {"Other", "C"},
        {"Control", "Cc"}, {"Format", "Cf"}, {"Private_Use", "Co"}, {"Unassigned", "Cn"}, {"Any", "Any"},
        {"L", "L"}, {"Ll", "Ll"}, {"Lu", "Lu"}, {"Lt", "Lt"}, {"LC", "L&"}, {"Lm", "Lm"}, {"Lo", "Lo"},
        {"M", "M"}, {"Mn", "Mn"}, {"Mc", "Mc"}, {"Me", "Me"}, {"N", "N"}, {"Nd", "Nd"}, {"Nl", "Nl"},
        {"No", "No"}, {"P", "P"}, {"Pc", "Pc"}, {"Pd", "Pd"}, {"Ps", "Ps"}, {"Pe", "Pe"}, {"Pi", "Pi"},
        {"Pf", "Pf"}, {"Po", "Po"}, {"S", "S"}, {"Sm", "Sm"}, {"Sc", "Sc"}, {"Sk", "Sk"}, {"So", "So"},
        {"Z", "Z"}, {"Zs", "Zs"}, {"Zl", "Zl"}, {"Zp", "Zp"}, {"C", "C"}, {"Cc", "Cc"}, {"Cf", "Cf"},
        {"Co", "Co"}, {"Cn", "Cn"}};

/* Behind \p or \P: {Category}, {General_Category=Category}, {Script=Name}. */
static bool take_property(struct reader *r, char letter)
{
	if (!take(r, "{"))
		return fail(r, "expected '{' and the name of a property");
	bool script =
	        take(r, "Script=") || take(r, "sc=") || take(r, "Script_Extensions=") || take(r, "scx=");
	if (!script && !take(r, "General_Category="))
		(void)take(r, "gc=");
	const char *name = r->at;
	while (r->at < r->end && (is_letter(*r->at) || is_digit(*r->at) || *r->at == '_'))
		r->at++;
	size_t size = (size_t)(r->at - name);
	if (!take(r, "}") || size == 0)
		return fail(r, "expected the name of a property and '}'");
	if (script) {
		buf_printf(r->out, "\\%c{%.*s}", letter, (int)size, name);
		return true;
	}
	for (size_t i = 0; i < sizeof CATEGORIES / sizeof *CATEGORIES; i++)
		if (strlen(CATEGORIES[i][0]) == size && memcmp(CATEGORIES[i][0], name, size) == 0) {
			buf_printf(r->out, "\\%c{%s}", letter, CATEGORIES[i][1]);
			return true;
		}
	return fail(r, "unknown property of characters before");
}

/* \d \w \s and their opposites. In a class their members alone; *set tells that it was one of them. */
static bool take_set(struct reader *r, bool in_class, bool *set)
{
	*set = true;
	char letter = *r->at;
	switch (letter) {
	case 'd':
	case 'D':
	case 'w':
	case 'W': /* without UCP these are ASCII's, as ECMA has them */
		r->at++;
		buf_printf(r->out, "\\%c", letter);
		return true;
	case 's':
	case 'S':
		r->at++;
		buf_printf(r->out, in_class ? "%s" : "[%s]", letter == 's' ? SPACES : NOT_SPACES);
		return true;
	case 'p':
	case 'P': r->at++; return take_property(r, letter);
	default: *set = false; return true;
	}
}

/* ---- classes ---- */

/* One end of a range, or a set: *code is NONE for a set. */
static bool take_class_atom(struct reader *r, unsigned *code)
{
	bool set = false;
	*code = NONE;
	if (!next_is(r, '\\')) {
		*code = take_character(r);
		return true;
	}
	r->at++;
	if (r->at == r->end)
		return fail(r, "a backslash with nothing behind it");
	if (!take_set(r, true, &set))
		return false;
	if (set)
		return true;
	if (take(r, "b"))
		*code = '\b';
	else
		*code = take_character_escape(r);
	return *code == NONE ? fail(r, "unknown escape") : true;
}

static bool take_class_members(struct reader *r)
{
	while (r->at < r->end && *r->at != ']') {
		unsigned from, to;
		if (!take_class_atom(r, &from))
			return false;
		bool range = next_is(r, '-') && r->end - r->at > 1 && r->at[1] != ']';
		if (from != NONE)
			put_code(r->out, from);
		if (!range)
			continue;
		r->at++;
		if (from == NONE) { /* [\d-x]: the sign stands for itself */
			put_code(r->out, '-');
			continue;
		}
		buf_append_byte(r->out, '-');
		if (next_is(r, '\\') && r->end - r->at > 1 && strchr("dDwWsSpP", r->at[1]))
			return fail(r, "a range cannot end in a set of characters");
		if (!take_class_atom(r, &to))
			return false;
		if (to < from)
			return fail(r, "a range that ends before it begins");
		put_code(r->out, to);
	}
	return take(r, "]") ? true : fail(r, "a '[' without its ']'");
}

static bool take_class(struct reader *r)
{
	r->at++;
	if (take(r, "^]"))
		return put(r, "[\\x{0}-\\x{10ffff}]");
	if (take(r, "]"))
		return put(r, "(?!)");
	buf_append_text(r->out, take(r, "^") ? "[^" : "[");
	if (!take_class_members(r))
		return false;
	buf_append_byte(r->out, ']');
	return true;
}

/* ---- groups, repeats ---- */

static bool is_name_byte(char c, bool first)
{
	return is_letter(c) || c == '_' || (!first && is_digit(c));
}

static bool take_name(struct reader *r)
{
	const char *name = r->at;
	while (r->at < r->end && is_name_byte(*r->at, r->at == name))
		r->at++;
	size_t size = (size_t)(r->at - name);
	if (size == 0 || size > 32 || !take(r, ">"))
		return fail(r, "expected a group's name of ASCII letters, digits and '_', and '>'");
	buf_append(r->out, name, size);
	buf_append_byte(r->out, '>');
	return true;
}

static bool open_group(struct reader *r)
{
	static const char *const kinds[] = {"(?:", "(?=", "(?!", "(?<=", "(?<!"};
	r->groups++;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (take(r, kinds[i]))
			return put(r, kinds[i]);
	if (take(r, "(?<")) {
		buf_append_text(r->out, "(?<");
		return take_name(r);
	}
	if (follows(r, "(?"))
		return fail(r, "unknown kind of group");
	if (follows(r, "(*")) /* would be a verb of PCRE2's */
		return fail(r, "nothing to repeat");
	r->at++;
	buf_append_byte(r->out, '(');
	return true;
}

/* {n}, {n,}, {n,m}: its size, or 0 when the brace stands for itself. */
static size_t counted_repeat(const struct reader *r)
{
	const char *at = r->at + 1, *digits = at;
	while (at < r->end && is_digit(*at))
		at++;
	if (at == digits)
		return 0;
	if (at < r->end && *at == ',')
		for (at++; at < r->end && is_digit(*at);)
			at++;
	return at < r->end && *at == '}' ? (size_t)(at + 1 - r->at) : 0;
}

/* What may follow an atom: a repeat, and '?' for the shortest. */
static bool take_repeat(struct reader *r)
{
	if (r->at == r->end)
		return true;
	if (*r->at == '*' || *r->at == '+' || *r->at == '?') {
		buf_append_byte(r->out, *r->at++);
	} else if (*r->at == '{' && counted_repeat(r)) {
		size_t size = counted_repeat(r);
		buf_append(r->out, r->at, size);
		r->at += size;
	} else {
		return true;
	}
	if (take(r, "?"))
		buf_append_byte(r->out, '?');
	return true;
}

/* \b, \B, references to groups, sets, characters. */
static bool take_escape(struct reader *r)
{
	bool set = false;
	r->at++;
	if (r->at == r->end)
		return fail(r, "a backslash with nothing behind it");
	if (*r->at == 'b' || *r->at == 'B')
		return put(r, "\\") && put_next(r);
	if (*r->at >= '1' && *r->at <= '9') {
		buf_append_text(r->out, "\\g{");
		while (r->at < r->end && is_digit(*r->at))
			buf_append_byte(r->out, *r->at++);
		buf_append_text(r->out, "}");
		return take_repeat(r);
	}
	if (take(r, "k<")) {
		buf_append_text(r->out, "\\k<");
		return take_name(r) && take_repeat(r);
	}
	if (!take_set(r, false, &set))
		return false;
	if (!set) {
		unsigned code = take_character_escape(r);
		if (code == NONE)
			return fail(r, "unknown escape");
		put_code(r->out, code);
	}
	return take_repeat(r);
}

static bool take_term(struct reader *r)
{
	switch (*r->at) {
	case '\\': return take_escape(r);
	case '[': return take_class(r) && take_repeat(r);
	case '(': return open_group(r);
	case ')':
		if (r->groups-- == 0)
			return fail(r, "a ')' without its '('");
		return put_next(r) && take_repeat(r);
	case '|':
	case '^':
	case '$': return put_next(r);
	case '.':
		r->at++;
		buf_append_text(r->out, "[^\\n\\r\\x{2028}\\x{2029}]");
		return take_repeat(r);
	case '*':
	case '+':
	case '?': return fail(r, "nothing to repeat");
	case '{':
		if (counted_repeat(r))
			return fail(r, "nothing to repeat");
		break;
	default: break;
	}
	put_code(r->out, take_character(r));
	return take_repeat(r);
}

bool schema_ecma_translate(const char *pattern, size_t size, struct buf *out, struct err *err)
{
	struct reader r = {.start = pattern, .at = pattern, .end = pattern + size, .out = out, .err = err};
	while (r.at < r.end)
		if (!take_term(&r))
			return false;
	return r.groups ? fail(&r, "a '(' without its ')'") : true;
}
