/* The parts of `limits.memory`, declared once: who may have how many bytes. */
#include "budget.h"

#define MIB ((size_t)1024 * 1024)
#define ENGINE (40 * MIB) /* measured: 30 MiB at rest with two producers, and 64 connections */
#define PREFETCH_LEAST (8 * MIB)
#define PREFETCH_MOST (64 * MIB)
#define QUEUE_LEAST (4 * MIB)

static size_t between(size_t value, size_t least, size_t most)
{
	return value < least ? least : value > most ? most : value;
}

static size_t larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

/* An eighth, but half of what is to spare where that is less: records come first. */
static size_t prefetch_of(size_t total, size_t spare)
{
	size_t most = between(PREFETCH_LEAST + spare / 2, PREFETCH_LEAST, PREFETCH_MOST);
	return between(total / 8, PREFETCH_LEAST, most);
}

struct budget budget_of(const struct budget_needs *needs)
{
	struct budget budget = {.total = needs->memory, .engine = ENGINE, .script = needs->script_memory};
	budget.needed =
	        ENGINE + PREFETCH_LEAST + needs->script_memory + BUDGET_PER_BODY * needs->largest_body;
	budget.prefetch = PREFETCH_LEAST;
	if (needs->memory > budget.needed)
		budget.prefetch = prefetch_of(needs->memory, needs->memory - budget.needed);
	size_t fixed = budget.engine + budget.prefetch + budget.script;
	budget.records = needs->memory > fixed ? needs->memory - fixed : 0;
	budget.fetch_queue = budget.prefetch / 4 * 3;
	budget.fetch_answer = budget.prefetch / 4;
	budget.produce_queue = larger(larger(budget.records / 4, QUEUE_LEAST), needs->largest_message);
	return budget;
}

void budget_print(const struct budget *budget, struct buf *out)
{
	buf_printf(out, "engine %zu MiB, prefetch %zu MiB, script %zu MiB, records %zu MiB",
	        budget->engine / MIB, budget->prefetch / MIB, budget->script / MIB, budget->records / MIB);
}
