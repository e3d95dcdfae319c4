/* The loops over events and tasks, compiled. Every function here has a twin in NumPy, which is the reference: the same bits.
 *
 * The functions keep no state and allocate no array: Python passes arrays through the buffer protocol, and a function
 * fills those that it documents as output, which nobody else sees yet. So after an error they are garbage that Python
 * drops, and nothing is half done. A buffer of a wrong shape or dtype, or an index outside of it, raises ValueError.
 *
 * No product and sum are fused (-ffp-contract=off), no sum is reordered, and what comes from exp or log comes in tables
 * from Python. The limited API of Python 3.11 makes one binary for all versions from there on. */

#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

/* ── Arrays ──────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* An entry of an array, of any alignment. */
typedef union __attribute__((packed)) {
    int64_t i;
    uint64_t u;
    double f;
} Word;

/* An array of one dimension, whose entries lie `step` bytes apart. */
typedef struct {
    char *data;
    Py_ssize_t n, step;
} Column;

static inline Word *at(Column column, Py_ssize_t index) { return (Word *)(column.data + index * column.step); }

/* The arrays that a call has borrowed from Python; `release` gives them back. */
typedef struct {
    Py_buffer all[32];
    int num;
} Borrowed;

static void release(Borrowed *borrowed) {
    while (borrowed->num) PyBuffer_Release(&borrowed->all[--borrowed->num]);
}

enum { READ = 0, WRITE = PyBUF_WRITABLE };

/* Borrows an array of one dimension and at least `n` entries: integers of 64 bits if `kind` is 'i', or floats if it is
 * 'f'. Returns -1 with an exception if it is another one. */
static int borrow(Borrowed *borrowed, Column *column, PyObject *array, const char *name, char kind, Py_ssize_t n,
                  int access) {
    Py_buffer *buffer = &borrowed->all[borrowed->num];
    if (PyObject_GetBuffer(array, buffer, access | PyBUF_FORMAT | PyBUF_STRIDES)) return -1;
    borrowed->num++;
    const char *format = buffer->format, *formats = kind == 'i' ? "lq" : "d";
    format += *format && strchr("@=<^", *format); /* NumPy marks what is not aligned */
    int is_kind = format[0] && !format[1] && strchr(formats, format[0]) && buffer->itemsize == sizeof(Word);
    if (!is_kind || buffer->ndim != 1 || buffer->shape[0] < n) {
        PyErr_Format(PyExc_ValueError, "%s: expected at least %zd %s of 64 bits, got another array", name, n,
                     kind == 'i' ? "integers" : "floats");
        return -1;
    }
    *column = (Column){buffer->buf, buffer->shape[0], buffer->strides[0]};
    return 0;
}

/* An array as `borrow` borrows it whose entries follow one another, aligned. */
static int borrow_flat(Borrowed *borrowed, void *data, Py_ssize_t *n, PyObject *array, const char *name, char kind,
                       Py_ssize_t least, int access) {
    Column column;
    if (borrow(borrowed, &column, array, name, kind, least, access | PyBUF_C_CONTIGUOUS)) return -1;
    if ((uintptr_t)column.data % sizeof(Word)) {
        PyErr_Format(PyExc_ValueError, "%s: expected an aligned array, got another", name);
        return -1;
    }
    *(void **)data = column.data;
    if (n) *n = column.n;
    return 0;
}

/* ── Which rows events concern ───────────────────────────────────────────────────────────────────────────────────── */

/* Fills `order` with the indices that sort `keys`, each from 0 to `last`, equal ones by index: by radix, a byte at a
 * time. Like `order`, `spare` has space for n indices. */
static void sort(const int64_t *keys, Py_ssize_t n, int64_t last, Py_ssize_t *order, Py_ssize_t *spare) {
    Py_ssize_t *from = order, *to = spare;
    for (Py_ssize_t i = 0; i < n; i++) from[i] = i;
    for (int shift = 0; shift < 63 && last >> shift; shift += 8) {
        Py_ssize_t first[257] = {0}; /* place of the next key with each byte */
        for (Py_ssize_t i = 0; i < n; i++) first[(keys[i] >> shift & 255) + 1]++;
        for (int byte = 1; byte < 257; byte++) first[byte] += first[byte - 1];
        for (Py_ssize_t i = 0; i < n; i++) to[first[keys[from[i]] >> shift & 255]++] = from[i];
        Py_ssize_t *swapped = from;
        from = to, to = swapped;
    }
    if (from != order) memcpy(order, from, n * sizeof *order);
}

static PyObject *distinct(PyObject *module, PyObject *args) {
    Borrowed borrowed = {.num = 0};
    PyObject *ids_array, *slots_array, *row_of_array, *result = NULL;
    Column ids, slots, row_of;
    Py_ssize_t capacity, n, num_distinct = 0;
    int64_t *keys = NULL;
    if (!PyArg_ParseTuple(args, "OnOO", &ids_array, &capacity, &slots_array, &row_of_array)) return NULL;
    if (borrow(&borrowed, &ids, ids_array, "task_ids", 'i', 0, READ)) goto end;
    n = ids.n;
    if (borrow(&borrowed, &slots, slots_array, "slots", 'i', n, WRITE)) goto end;
    if (borrow(&borrowed, &row_of, row_of_array, "row_of", 'i', n, WRITE)) goto end;
    if (capacity < 1) {
        PyErr_Format(PyExc_ValueError, "capacity: expected at least 1, got %zd", capacity);
        goto end;
    }
    keys = PyMem_Malloc((n + 1) * (sizeof *keys + 2 * sizeof(Py_ssize_t)));
    if (!keys) {
        PyErr_NoMemory();
        goto end;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        int64_t slot = at(ids, i)->i % capacity;
        keys[i] = slot < 0 ? slot + capacity : slot; /* the remainder as Python has it */
    }
    Py_ssize_t *order = (Py_ssize_t *)(keys + n);
    sort(keys, n, capacity - 1, order, order + n);
    for (Py_ssize_t i = 0; i < n; i++) {
        int64_t slot = keys[order[i]];
        if (!i || slot != keys[order[i - 1]]) at(slots, num_distinct++)->i = slot;
        at(row_of, order[i])->i = num_distinct - 1;
    }
    result = PyLong_FromSsize_t(num_distinct);
end:
    PyMem_Free(keys);
    release(&borrowed);
    return result;
}

/* ── Recording events ────────────────────────────────────────────────────────────────────────────────────────────── */

enum { SCHEDULED, CANCELLED, TOLD, TOLD_WITH_REGRET }; /* kinds of event, as in table/schema.py */

/* Fields of a row, in the order in which table/compiled.py names them. */
enum {
    FAST_EMA, MIDDLE_EMA_1, MIDDLE_EMA_2, MIDDLE_EMA_3, SLOW_EMA, MEAN_SQUARE, SUCCESS_EMA, NUM_RATES, /* averages */
    RANDOM_BASELINE = NUM_RATES, RECENT_SCORES_1, RECENT_SCORES_2, RECENT_SCORES_3, TASK_ID, LABEL_INDEX,
    NUM_COMPLETIONS, SUCCESS_THRESHOLD, LAST_SCORE, LAST_COMPLETED, NUM_REGRETS, LAST_REGRET, NUM_PENDING, NUM_ORPHANS,
    NUM_SCHEDULED, LAST_SCHEDULED, NUM_CANCELLED, NUM_FAILURES, NUM_FIELDS
};

/* Columns of the statistics of labels, likewise. */
enum { L_NUM_SCHEDULED, L_NUM_COMPLETED, L_NUM_RECENT, L_RECENT_SCORE, L_RECENT_REGRET, NUM_LABEL_COLUMNS };

typedef struct {
    Column rows[NUM_FIELDS], labels[NUM_LABEL_COLUMNS], reasons;
    Column weights, coarse_weights; /* of 0, 1, … and of multiples of `num_weights` results, at each rate in turn */
    uint64_t num_weights;
    double low, scale, threshold, lowest_success, no_failure, max_regret;
    long long num_baseline_samples;
    long long num_scheduled, num_told; /* of the pool, up to the event */
    long long num_cancelled, num_unsolicited;
} Pool;

static inline double clipped(double value, double low, double high) {
    return value < low ? low : value > high ? high : value;
}

/* Weight that `count` results, at least 1, have in an average, as `averages.weight` gives it. */
static inline double weight(const Pool *pool, uint64_t count, int rate) {
    uint64_t length = pool->num_weights;
    if (count < length) return at(pool->weights, count * NUM_RATES + rate)->f;
    if (count > length * length - 1) count = length * length - 1;
    double rest = at(pool->weights, count % length * NUM_RATES + rate)->f;
    return rest + (1.0 - rest) * at(pool->coarse_weights, count / length * NUM_RATES + rate)->f;
}

/* Takes one step of the debiased averages of `row` towards the values of its next result. */
static void step_averages(const Pool *pool, Py_ssize_t row, double score, int is_success) {
    int64_t num_before = at(pool->rows[NUM_COMPLETIONS], row)->i;
    for (int rate = 0; rate < NUM_RATES; rate++) {
        Word *average = at(pool->rows[rate], row);
        double value = rate == MEAN_SQUARE ? score * score : rate == SUCCESS_EMA ? (double)is_success : score;
        double old = average->f * (num_before > 0); /* a task without results has no averages, whatever is stored */
        average->f = old + (value - old) * (weight(pool, 1, rate) / weight(pool, num_before + 1, rate));
    }
    if (pool->num_baseline_samples) {
        Word *baseline = at(pool->rows[RANDOM_BASELINE], row);
        double old = baseline->f * (num_before > 0), share = 0.0;
        if (num_before < pool->num_baseline_samples) share = 1.0 / (double)(num_before + 1);
        baseline->f = old + (score - old) * share;
    }
}

/* Shifts a score into the last scores of `row`, which are one number of 192 bits. */
static void push_recent(const Pool *pool, Py_ssize_t row, double score) {
    Word *first = at(pool->rows[RECENT_SCORES_1], row), *second = at(pool->rows[RECENT_SCORES_2], row);
    Word *third = at(pool->rows[RECENT_SCORES_3], row);
    first->u = first->u << 16 | second->u >> 48;
    second->u = second->u << 16 | third->u >> 48;
    third->u = third->u << 16 | (uint64_t)rint(score * 65535.0); /* half to even, as NumPy rounds */
}

/* Records a result of the task in `row`. */
static void tell(Pool *pool, Py_ssize_t row, Py_ssize_t label, double told) {
    double score = clipped((told - pool->low) / pool->scale, 0.0, 1.0);
    step_averages(pool, row, score, told >= pool->lowest_success);
    push_recent(pool, row, score);
    at(pool->rows[SUCCESS_THRESHOLD], row)->f = pool->threshold;
    at(pool->rows[LAST_SCORE], row)->f = score;
    at(pool->rows[LAST_COMPLETED], row)->i = ++pool->num_told;
    at(pool->rows[NUM_COMPLETIONS], row)->i++;
    at(pool->rows[NUM_FAILURES], row)->i = 0;
    at(pool->labels[L_NUM_COMPLETED], label)->i++;
    at(pool->labels[L_NUM_RECENT], label)->i++;
    at(pool->labels[L_RECENT_SCORE], label)->f += score;
}

/* Records the regret of a result. */
static void tell_regret(Pool *pool, Py_ssize_t row, Py_ssize_t label, double regret) {
    double clean = clipped(regret, -pool->max_regret, pool->max_regret);
    at(pool->rows[LAST_REGRET], row)->f = clean;
    at(pool->rows[NUM_REGRETS], row)->i++;
    at(pool->labels[L_RECENT_REGRET], label)->f += clean;
}

/* Records a hand-out. */
static void hand_out(Pool *pool, Py_ssize_t row, Py_ssize_t label, int is_current) {
    pool->num_scheduled++;
    if (!is_current) return;
    Word *last = at(pool->rows[LAST_SCHEDULED], row);
    if (last->i < pool->num_scheduled) last->i = pool->num_scheduled;
    at(pool->rows[NUM_SCHEDULED], row)->i++;
    at(pool->labels[L_NUM_SCHEDULED], label)->i++;
}

/* Records a cancellation. Returns -1 with an exception if its reason has no index. */
static int cancel(Pool *pool, Py_ssize_t row, int is_current, double reason, double regret) {
    if (!(reason >= 0.0 && reason < (double)pool->reasons.n)) {
        PyErr_SetString(PyExc_ValueError, "scores: expected the index of a reason in each cancellation, got another");
        return -1;
    }
    at(pool->reasons, (Py_ssize_t)reason)->i++;
    pool->num_cancelled++;
    if (is_current) {
        at(pool->rows[NUM_CANCELLED], row)->i++;
        if (regret != pool->no_failure) at(pool->rows[NUM_FAILURES], row)->i++;
    }
    return 0;
}

/* Records one event in `row`. An event of an evicted task is balanced against the orphans of its slot. Returns -1 with
 * an exception if the row or the event is corrupt. */
static int record_event(Pool *pool, Py_ssize_t row, int64_t id, int64_t kind, double score, double regret) {
    int64_t label = at(pool->rows[LABEL_INDEX], row)->i;
    if (label < 0 || label >= pool->labels[0].n || at(pool->rows[NUM_COMPLETIONS], row)->i < 0) {
        PyErr_SetString(PyExc_ValueError, "words: expected indices of labels and numbers of results, got others");
        return -1;
    }
    int is_current = at(pool->rows[TASK_ID], row)->i == id;
    Word *pending = at(pool->rows[is_current ? NUM_PENDING : NUM_ORPHANS], row);
    if (kind == SCHEDULED) {
        pending->i++;
        hand_out(pool, row, label, is_current);
        return 0;
    }
    if (pending->i > 0) pending->i--;
    else pool->num_unsolicited++;
    if (kind == CANCELLED) return cancel(pool, row, is_current, score, regret);
    if (is_current && kind >= TOLD) {
        tell(pool, row, label, score);
        if (kind == TOLD_WITH_REGRET) tell_regret(pool, row, label, regret);
    }
    return 0;
}

/* Borrows `words`, the words of `num_rows` rows: first that of each row in the first field, then in the second, and so
 * on. Takes the columns of `fields` apart. */
static int borrow_rows(Borrowed *borrowed, Pool *pool, PyObject *words_array, Py_ssize_t num_rows,
                       PyObject *fields_array) {
    Column fields, words;
    if (borrow(borrowed, &fields, fields_array, "fields", 'i', NUM_FIELDS, READ) ||
        borrow(borrowed, &words, words_array, "words", 'i', 0, WRITE))
        return -1;
    for (int field = 0; field < NUM_FIELDS; field++) {
        int64_t index = at(fields, field)->i;
        if (num_rows < 1 || index < 0 || index >= words.n / num_rows) {
            PyErr_SetString(PyExc_ValueError, "fields: expected indices of the words of a row, got another");
            return -1;
        }
        pool->rows[field] = (Column){words.data + index * num_rows * words.step, num_rows, words.step};
    }
    return 0;
}

/* Borrows the columns of the statistics of labels, of which none is shorter than the first. */
static int borrow_labels(Borrowed *borrowed, Pool *pool, PyObject *columns) {
    PyObject *arrays[NUM_LABEL_COLUMNS];
    if (!PyArg_ParseTuple(columns, "OOOOO", &arrays[0], &arrays[1], &arrays[2], &arrays[3], &arrays[4])) return -1;
    for (int index = 0; index < NUM_LABEL_COLUMNS; index++)
        if (borrow(borrowed, &pool->labels[index], arrays[index], "labels", index < L_RECENT_SCORE ? 'i' : 'f',
                   pool->labels[0].n, WRITE))
            return -1;
    return 0;
}

/* Borrows the two tables of weights. */
static int borrow_weights(Borrowed *borrowed, Pool *pool, PyObject *weights, PyObject *coarse_weights) {
    if (borrow(borrowed, &pool->weights, weights, "weights", 'f', 2 * NUM_RATES, READ)) return -1;
    pool->num_weights = pool->weights.n / NUM_RATES;
    return borrow(borrowed, &pool->coarse_weights, coarse_weights, "coarse_weights", 'f', pool->weights.n, READ);
}

static PyObject *record(PyObject *module, PyObject *args) {
    Borrowed borrowed = {.num = 0};
    Pool pool = {.num_told = 0};
    PyObject *id_array, *kind_array, *score_array, *regret_array, *row_of_array, *words, *fields, *labels, *reasons;
    PyObject *weights, *coarse, *result = NULL;
    Py_ssize_t num_rows;
    Column ids, kinds, scores, regrets, row_of;
    if (!PyArg_ParseTuple(args, "(OOOO)OOnOOOOO(ddddLdd)LL", &id_array, &kind_array, &score_array, &regret_array,
                          &row_of_array, &words, &num_rows, &fields, &labels, &reasons, &weights, &coarse, &pool.low,
                          &pool.scale, &pool.threshold, &pool.lowest_success, &pool.num_baseline_samples,
                          &pool.no_failure, &pool.max_regret, &pool.num_scheduled, &pool.num_told))
        return NULL;
    long long scheduled_before = pool.num_scheduled, told_before = pool.num_told;
    if (borrow(&borrowed, &ids, id_array, "task_ids", 'i', 0, READ) ||
        borrow(&borrowed, &kinds, kind_array, "kinds", 'i', ids.n, READ) ||
        borrow(&borrowed, &scores, score_array, "scores", 'f', ids.n, READ) ||
        borrow(&borrowed, &regrets, regret_array, "regrets", 'f', ids.n, READ) ||
        borrow(&borrowed, &row_of, row_of_array, "row_of", 'i', ids.n, READ) ||
        borrow(&borrowed, &pool.reasons, reasons, "reasons", 'i', 0, WRITE) ||
        borrow_labels(&borrowed, &pool, labels) || borrow_rows(&borrowed, &pool, words, num_rows, fields) ||
        borrow_weights(&borrowed, &pool, weights, coarse))
        goto end;
    for (Py_ssize_t i = 0; i < ids.n; i++) {
        int64_t row = at(row_of, i)->i;
        if (row < 0 || row >= pool.rows[0].n) {
            PyErr_Format(PyExc_ValueError, "row_of: expected indices of %zd rows, got another", pool.rows[0].n);
            goto end;
        }
        if (record_event(&pool, row, at(ids, i)->i, at(kinds, i)->i, at(scores, i)->f, at(regrets, i)->f)) goto end;
    }
    result = Py_BuildValue("LLLL", pool.num_scheduled - scheduled_before, pool.num_told - told_before,
                           pool.num_cancelled, pool.num_unsolicited);
end:
    release(&borrowed);
    return result;
}

/* ── Slopes ──────────────────────────────────────────────────────────────────────────────────────────────────────── */

enum { NUM_EMAS = 5, NUM_PAIRS = NUM_EMAS - 1 };

/* Results of a task, in the order of the fields of a `Slope`. */
enum { VALUE, ERROR, WINDOWS, RECENT, LASTING, NUM_RESULTS };

/* Constants of a pair of neighbouring averages, as in `PairWeights`. */
typedef struct {
    const double *per_lag, *error, *trust;
    double rate;
} Pair;

typedef struct {
    Py_ssize_t n, last; /* number of tasks, and last number of completions in the tables */
    const int64_t *completions;
    const double *emas[NUM_EMAS], *mean_square, *baselines;
    Pair pairs[NUM_PAIRS];
    double interval_width, theta, max_baseline, unknown, *results[NUM_RESULTS];
} Slopes;

static inline double above(double average, double baseline) {
    return clipped((average - baseline) / (1.0 - baseline), 0.0, 1.0);
}

/* Estimates the slope of one task, step by step as `progress_slope` does for all. */
static inline void estimate(const Slopes *of, Py_ssize_t task) {
    int64_t completions = of->completions[task], last = of->last;
    int64_t index = completions < 0 ? 0 : completions > last ? last : completions;
    double mean = of->emas[NUM_PAIRS][task], counts = (double)completions, slack = 0.25 / (counts > 1.0 ? counts : 1.0);
    double variance = of->mean_square[task] - mean * mean;
    double graded = clipped(((variance > 0.0 ? variance : 0.0) + slack) / (mean * (1.0 - mean) + slack), 0.0, 1.0);
    double is_open = completions >= 2, value = 0.0, error = of->unknown * (1.0 - is_open), p = mean, rate = 0.0;
    double low = -of->unknown, high = of->unknown, rate_before = 0.0;
    for (int i = 0; i < NUM_PAIRS; i++) {
        const Pair *pair = &of->pairs[i];
        double fast = of->emas[i][task], slow = of->emas[i + 1][task];
        double here = (slow - 0.5) * pair->trust[index] + 0.5, slope = (fast - slow) * pair->per_lag[index];
        double spread = sqrt(here * (1.0 - here) * graded) * pair->error[index], margin = of->interval_width * spread;
        if (slope - margin > low) low = slope - margin;
        if (slope + margin < high) high = slope + margin;
        is_open *= low <= high;
        value = (slope - value) * is_open + value;
        error = (spread - error) * is_open + error;
        p = (here - p) * is_open + p;
        rate = is_open * (pair->rate - rate_before) + rate;
        rate_before = pair->rate;
    }
    double baseline = clipped(of->baselines[task], 0.0, of->max_baseline);
    double root = above(p, baseline) * (1.0 - 2.0 * of->theta) + of->theta;
    double gain = of->theta * (1.0 - of->theta) / ((1.0 - baseline) * root * root);
    of->results[VALUE][task] = value * gain;
    of->results[ERROR][task] = error * gain;
    of->results[WINDOWS][task] = clipped(counts, 2.0, (double)last) * rate + 1.0;
    double recent = above(of->emas[1][task], baseline), lasting = above(mean, baseline);
    of->results[RECENT][task] = (recent - 0.5) * of->pairs[0].trust[index] + 0.5;
    of->results[LASTING][task] = (lasting - 0.5) * of->pairs[NUM_PAIRS - 1].trust[index] + 0.5;
}

/* Borrows the tables of a pair of averages. */
static int borrow_pair(Borrowed *borrowed, Pair *pair, PyObject *tables, Py_ssize_t *length) {
    PyObject *per_lag, *error, *trust;
    if (!PyArg_ParseTuple(tables, "OOOd", &per_lag, &error, &trust, &pair->rate)) return -1;
    return borrow_flat(borrowed, &pair->per_lag, length, per_lag, "weights", 'f', *length, READ) ||
           borrow_flat(borrowed, &pair->error, NULL, error, "weights", 'f', *length, READ) ||
           borrow_flat(borrowed, &pair->trust, NULL, trust, "weights", 'f', *length, READ);
}

static PyObject *slopes(PyObject *module, PyObject *args) {
    Borrowed borrowed = {.num = 0};
    Slopes of;
    PyObject *completions, *emas[NUM_EMAS], *mean_square, *baselines, *weights[NUM_PAIRS], *results[NUM_RESULTS];
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "(OOOOOOOO)(O!O!O!O!)dddd(OOOOO)", &completions, &emas[0], &emas[1], &emas[2], &emas[3],
                          &emas[4], &mean_square, &baselines, &PyTuple_Type, &weights[0], &PyTuple_Type, &weights[1],
                          &PyTuple_Type, &weights[2], &PyTuple_Type, &weights[3], &of.interval_width, &of.theta,
                          &of.max_baseline, &of.unknown, &results[0], &results[1], &results[2], &results[3],
                          &results[4]))
        return NULL;
    if (borrow_flat(&borrowed, &of.completions, &of.n, completions, "columns", 'i', 0, READ) ||
        borrow_flat(&borrowed, &of.mean_square, NULL, mean_square, "columns", 'f', of.n, READ) ||
        borrow_flat(&borrowed, &of.baselines, NULL, baselines, "columns", 'f', of.n, READ))
        goto end;
    for (int i = 0; i < NUM_EMAS; i++)
        if (borrow_flat(&borrowed, &of.emas[i], NULL, emas[i], "columns", 'f', of.n, READ)) goto end;
    Py_ssize_t length = 3; /* all pairs have tables of one length */
    for (int i = 0; i < NUM_PAIRS; i++)
        if (borrow_pair(&borrowed, &of.pairs[i], weights[i], &length)) goto end;
    for (int i = 0; i < NUM_RESULTS; i++)
        if (borrow_flat(&borrowed, &of.results[i], NULL, results[i], "results", 'f', of.n, WRITE)) goto end;
    of.last = length - 1;
    for (Py_ssize_t task = 0; task < of.n; task++) estimate(&of, task);
    Py_INCREF(Py_None);
    result = Py_None;
end:
    release(&borrowed);
    return result;
}

/* ── Results of groups ───────────────────────────────────────────────────────────────────────────────────────────── */

enum { NUM_AVERAGES = NUM_EMAS + 1 }; /* with the mean square, which has the rate of the last of the others */

/* Powers of a base: the first ones, those of multiples of their number, and the first exponent whose power is 0. */
typedef struct {
    const double *low, *high;
    int64_t vanishing, mask;
    int bits;
} Powers;

typedef struct {
    Py_ssize_t n, num_told, num_groups;
    const int64_t *newest_first, *completions;
    const double *baselines, *averages[NUM_AVERAGES];
    Powers powers[NUM_AVERAGES];
    int64_t *total, *newer; /* results of each group; results in the group of a task that are newer than its own */
    double *baseline, *sums[NUM_AVERAGES];
} Grouped;

static inline double power(const Powers *powers, int64_t exponent) {
    if (exponent >= powers->vanishing) return 0.0;
    return powers->low[exponent & powers->mask] * powers->high[exponent >> powers->bits];
}

/* Counts the results of the groups of one grouping, from the newest task on. Returns -1 with an exception if an index
 * is none of a task or of a group. */
static int count_results(const Grouped *of, const int64_t *groups) {
    for (Py_ssize_t task = 0; task < of->n; task++)
        if (groups[task] < 0 || groups[task] >= of->num_groups) {
            PyErr_Format(PyExc_ValueError, "groups: expected indices of %zd groups, got another", of->num_groups);
            return -1;
        }
    for (Py_ssize_t i = 0; i < of->num_told; i++) {
        int64_t task = of->newest_first[i];
        if (task < 0 || task >= of->n) {
            PyErr_Format(PyExc_ValueError, "newest_first: expected indices of %zd tasks, got another", of->n);
            return -1;
        }
        int64_t group = groups[task], count = of->completions[task];
        of->newer[task] = of->total[group];
        of->total[group] += count;
        of->baseline[group] += (double)count * of->baselines[task];
    }
    return 0;
}

/* Adds the averages of the tasks, each with its weight, to those of their groups in one grouping. */
static void add_averages(const Grouped *of, const int64_t *groups) {
    for (Py_ssize_t task = 0; task < of->n; task++) {
        int64_t count = of->completions[task], newer = of->newer[task];
        if (count <= 0 || newer < 0) continue;
        for (int i = 0; i < NUM_AVERAGES; i++) {
            const Powers *powers = &of->powers[i];
            if (newer >= powers->vanishing) continue; /* faster averages forget earlier */
            double weight = 1.0 - power(powers, count);
            of->sums[i][groups[task]] += power(powers, newer) * (weight * of->averages[i][task]);
        }
    }
}

/* Borrows the two tables of powers, whose lengths are powers of 2. */
static int borrow_powers(Borrowed *borrowed, Powers *powers, PyObject *tables) {
    PyObject *low, *high;
    Py_ssize_t num_low, num_high;
    long long vanishing;
    if (!PyArg_ParseTuple(tables, "OOL", &low, &high, &vanishing) ||
        borrow_flat(borrowed, &powers->low, &num_low, low, "powers", 'f', 1, READ) ||
        borrow_flat(borrowed, &powers->high, &num_high, high, "powers", 'f', 1, READ))
        return -1;
    for (powers->bits = 0; num_low >> powers->bits > 1;) powers->bits++;
    powers->vanishing = vanishing;
    powers->mask = num_low - 1;
    if (!(num_low & powers->mask) && vanishing <= (long long)num_high << powers->bits) return 0;
    PyErr_SetString(PyExc_ValueError, "powers: expected tables of all powers that do not vanish, got others");
    return -1;
}

static PyObject *group_results(PyObject *module, PyObject *args) {
    Borrowed borrowed = {.num = 0};
    Grouped of = {.newer = NULL};
    const int64_t *group_of;
    Py_ssize_t num_grouped;
    PyObject *newest_first, *completions, *groups, *baselines, *averages[NUM_AVERAGES], *tables[NUM_EMAS], *total;
    PyObject *baseline, *sums[NUM_AVERAGES], *result = NULL;
    if (!PyArg_ParseTuple(args, "OOOO(OOOOOO)(O!O!O!O!O!)OO(OOOOOO)", &newest_first, &completions, &groups, &baselines,
                          &averages[0], &averages[1], &averages[2], &averages[3], &averages[4], &averages[5],
                          &PyTuple_Type, &tables[0], &PyTuple_Type, &tables[1], &PyTuple_Type, &tables[2],
                          &PyTuple_Type, &tables[3], &PyTuple_Type, &tables[4], &total, &baseline, &sums[0], &sums[1],
                          &sums[2], &sums[3], &sums[4], &sums[5]))
        return NULL;
    if (borrow_flat(&borrowed, &of.newest_first, &of.num_told, newest_first, "newest_first", 'i', 0, READ) ||
        borrow_flat(&borrowed, &of.completions, &of.n, completions, "completions", 'i', 0, READ) ||
        borrow_flat(&borrowed, &group_of, &num_grouped, groups, "groups", 'i', 0, READ) ||
        borrow_flat(&borrowed, &of.baselines, NULL, baselines, "baselines", 'f', of.n, READ) ||
        borrow_flat(&borrowed, &of.total, &of.num_groups, total, "total", 'i', 0, WRITE) ||
        borrow_flat(&borrowed, &of.baseline, NULL, baseline, "baseline", 'f', of.num_groups, WRITE))
        goto end;
    for (int i = 0; i < NUM_AVERAGES; i++)
        if (borrow_flat(&borrowed, &of.averages[i], NULL, averages[i], "averages", 'f', of.n, READ) ||
            borrow_flat(&borrowed, &of.sums[i], NULL, sums[i], "sums", 'f', of.num_groups, WRITE))
            goto end;
    for (int i = 0; i < NUM_EMAS; i++)
        if (borrow_powers(&borrowed, &of.powers[i], tables[i])) goto end;
    of.powers[NUM_EMAS] = of.powers[NUM_EMAS - 1];
    if (of.n ? num_grouped % of.n : num_grouped) {
        PyErr_Format(PyExc_ValueError, "groups: expected one of each of %zd tasks, got %zd", of.n, num_grouped);
        goto end;
    }
    of.newer = PyMem_Calloc(of.n + 1, sizeof *of.newer);
    if (!of.newer) {
        PyErr_NoMemory();
        goto end;
    }
    for (; num_grouped; num_grouped -= of.n, group_of += of.n) {
        if (count_results(&of, group_of)) goto end;
        add_averages(&of, group_of);
    }
    Py_INCREF(Py_None);
    result = Py_None;
end:
    PyMem_Free(of.newer);
    release(&borrowed);
    return result;
}

static PyMethodDef functions[] = {
    {"distinct", distinct, METH_VARARGS, NULL},
    {"record", record, METH_VARARGS, NULL},
    {"slopes", slopes, METH_VARARGS, NULL},
    {"group_results", group_results, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "_kernel", .m_methods = functions};

PyMODINIT_FUNC PyInit__kernel(void) { return PyModuleDef_Init(&definition); }
