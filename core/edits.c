/* Which elements of two sequences have to go and to come: Myers' algorithm in linear space. */
#include "edits.h"
#include "mem.h"

enum { NOWHERE = INT32_MIN / 2, DIAGONALS = 2 * (EDITS_COST + 2) + 1 };

/* A part of both sequences. */
struct box {
	struct edits_side from, to;
};

/* Furthest x on each diagonal x - y, counted from the corner where the search began. */
struct frontier {
	int32_t reach[DIAGONALS];
};

struct search {
	struct effort *effort;
	struct frontier front, back; /* back: as if both sequences were reversed */
};

struct place {
	size_t x, y; /* elements of either side before it */
};

bool effort_spend(struct effort *effort, uint64_t steps)
{
	if (effort->cancelled && atomic_load_explicit(effort->cancelled, memory_order_relaxed))
		effort->left = 0;
	effort->left = effort->left > steps ? effort->left - steps : 0;
	return effort->left > 0;
}

static int32_t *at(struct frontier *frontier, int32_t diagonal)
{
	return &frontier->reach[diagonal + EDITS_COST + 2];
}

static uint32_t key_of(const struct edits_side *side, int32_t i, bool backwards)
{
	return side->keys[backwards ? side->count - 1 - (size_t)i : (size_t)i];
}

/* How far equal elements lead on from there. */
static int32_t slide(const struct box *box, int32_t x, int32_t y, bool backwards)
{
	int32_t n = (int32_t)box->from.count, m = (int32_t)box->to.count;
	while (x < n && y < m && key_of(&box->from, x, backwards) == key_of(&box->to, y, backwards)) {
		x++;
		y++;
	}
	return x;
}

static int32_t first_diagonal(int32_t cost, int32_t side)
{
	return cost <= side ? cost : side - ((cost - side) & 1);
}

/* The frontier of `cost` edits from that of one less. Places outside of the box are nowhere. */
static bool advance(struct search *search, const struct box *box, int32_t cost, bool backwards)
{
	struct frontier *frontier = backwards ? &search->back : &search->front;
	int32_t n = (int32_t)box->from.count, m = (int32_t)box->to.count;
	uint64_t steps = 0;
	*at(frontier, -cost - 1) = *at(frontier, cost + 1) = NOWHERE;
	for (int32_t k = -first_diagonal(cost, m); k <= first_diagonal(cost, n); k += 2) {
		int32_t right = *at(frontier, k - 1) + 1, down = *at(frontier, k + 1), x = NOWHERE;
		if (right > 0 && right <= n)
			x = right;
		if (down >= 0 && down - k <= m && down > x)
			x = down;
		*at(frontier, k) = x < 0 ? NOWHERE : slide(box, x, x - k, backwards);
		steps += 1 + (uint64_t)(x < 0 ? 0 : *at(frontier, k) - x);
	}
	return effort_spend(search->effort, steps);
}

/* Whether the frontier that was just advanced meets the other one: their sum of edits is the least there is.
 */
static bool meets(
        struct search *search, const struct box *box, int32_t cost, bool backwards, struct place *place)
{
	struct frontier *mine = backwards ? &search->back : &search->front;
	struct frontier *others = backwards ? &search->front : &search->back;
	int32_t n = (int32_t)box->from.count, m = (int32_t)box->to.count;
	int32_t theirs = backwards ? cost : cost - 1; /* edits of the other frontier */
	for (int32_t k = -first_diagonal(cost, m); k <= first_diagonal(cost, n); k += 2) {
		int32_t across = n - m - k, x = *at(mine, k);
		if (across < -theirs || across > theirs || x < 0 || *at(others, across) < 0 ||
		        x + *at(others, across) < n)
			continue;
		int32_t y = x - k;
		place->x = (size_t)(backwards ? n - x : x);
		place->y = (size_t)(backwards ? m - y : y);
		return true;
	}
	return false;
}

/* The place furthest from the front's corner: what lies before it takes EDITS_COST edits at most. */
static void furthest(struct search *search, const struct box *box, struct place *place)
{
	int32_t n = (int32_t)box->from.count, m = (int32_t)box->to.count, most = -1;
	for (int32_t k = -first_diagonal(EDITS_COST, m); k <= first_diagonal(EDITS_COST, n); k += 2) {
		int32_t x = *at(&search->front, k), y = x - k;
		if (x < 0 || x + y <= most)
			continue;
		most = x + y;
		*place = (struct place){(size_t)x, (size_t)y};
	}
}

/* A place on the way with the fewest edits, neither of the corners. False: no effort left. */
static bool halve(struct search *search, const struct box *box, struct place *place)
{
	bool odd = (box->from.count + box->to.count) & 1;
	*at(&search->front, 0) = slide(box, 0, 0, false);
	*at(&search->back, 0) = slide(box, 0, 0, true);
	for (int32_t cost = 1; cost <= EDITS_COST; cost++) {
		if (!advance(search, box, cost, false))
			return false;
		if (odd && meets(search, box, cost, false, place))
			return true;
		if (!advance(search, box, cost, true))
			return false;
		if (!odd && meets(search, box, cost, true, place))
			return true;
	}
	furthest(search, box, place);
	return true;
}

static void cut(struct edits_side *side, size_t begin, size_t end)
{
	side->keys += begin;
	side->places += begin;
	side->count = end - begin;
}

/* Equal elements at both ends stay. */
static bool trim(struct box *box, struct effort *effort)
{
	size_t least = box->from.count < box->to.count ? box->from.count : box->to.count, head = 0, tail = 0;
	while (head < least && box->from.keys[head] == box->to.keys[head])
		head++;
	while (tail < least - head &&
	        box->from.keys[box->from.count - 1 - tail] == box->to.keys[box->to.count - 1 - tail])
		tail++;
	cut(&box->from, head, box->from.count - tail);
	cut(&box->to, head, box->to.count - tail);
	return effort_spend(effort, head + tail + 1);
}

static void mark(const struct edits_side *side)
{
	for (size_t i = 0; i < side->count; i++)
		side->changed[side->places[i]] = true;
}

/* Calls itself for the smaller half only: as deep as the sizes have bits. */
static bool solve(struct search *search, struct box box) // NOLINT(misc-no-recursion)
{
	struct place place = {0, 0};
	for (;;) {
		if (!trim(&box, search->effort))
			return false;
		if (box.from.count == 0 || box.to.count == 0) {
			mark(&box.from);
			mark(&box.to);
			return true;
		}
		if (!halve(search, &box, &place))
			return false;
		struct box before = box, after = box;
		cut(&before.from, 0, place.x);
		cut(&before.to, 0, place.y);
		cut(&after.from, place.x, box.from.count);
		cut(&after.to, place.y, box.to.count);
		bool first = before.from.count + before.to.count < after.from.count + after.to.count;
		if (!solve(search, first ? before : after))
			return false;
		box = first ? after : before;
	}
}

bool edits_find(const struct edits_side *from, const struct edits_side *to, struct effort *effort)
{
	struct search *search = mem_alloc(sizeof *search);
	search->effort = effort;
	bool found = solve(search, (struct box){*from, *to});
	mem_free(search);
	return found;
}
