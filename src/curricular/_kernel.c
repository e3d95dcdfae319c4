/* The loops over events, compiled. Every function here has a twin in NumPy, which is the reference: the same bits.
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

/* One dimension of an array, whose entries lie `step` bytes apart. */
typedef struct {
    char *data;
    Py_ssize_t n, step;
} Column;

static inline Word *at(Column column, Py_ssize_t index) { return (Word *)(column.data + index * column.step); }

/* The arrays that a call has borrowed; `release` gives them back. */
enum { MAX_BORROWED = 20 };
typedef struct {
    Py_buffer all[MAX_BORROWED];
    int num;
} Borrowed;

static void release(Borrowed *borrowed) {
    while (borrowed->num) PyBuffer_Release(&borrowed->all[--borrowed->num]);
}

enum { READ = 0, WRITE = PyBUF_WRITABLE };

/* Borrows an array of `ndim` dimensions with entries of 64 bits: integers if `kind` is 'i', or else floats. One of two
 * dimensions has to be contiguous. Returns NULL with an exception if it is another array. */
static Py_buffer *borrow(Borrowed *borrowed, PyObject *array, const char *name, char kind, int ndim, int access) {
    Py_buffer *buffer = &borrowed->all[borrowed->num];
    if (PyObject_GetBuffer(array, buffer, access | PyBUF_FORMAT | (ndim == 1 ? PyBUF_STRIDES : PyBUF_C_CONTIGUOUS)))
        return NULL;
    borrowed->num++;
    const char *format = buffer->format, *formats = kind == 'i' ? "lq" : "d";
    int is_kind = format[0] && !format[1] && strchr(formats, format[0]) && buffer->itemsize == sizeof(Word);
    if (is_kind && buffer->ndim == ndim) return buffer;
    PyErr_Format(PyExc_ValueError, "%s: expected %d dimensions of 64-bit %s, got %d of format %s", name, ndim,
                 kind == 'i' ? "integers" : "floats", buffer->ndim, format);
    return NULL;
}

/* Borrows a column of at least `n` entries. */
static int borrow_column(Borrowed *borrowed, Column *column, PyObject *array, const char *name, char kind, Py_ssize_t n,
                         int access) {
    Py_buffer *buffer = borrow(borrowed, array, name, kind, 1, access);
    if (!buffer) return -1;
    *column = (Column){buffer->buf, buffer->shape[0], buffer->strides[0]};
    if (column->n >= n) return 0;
    PyErr_Format(PyExc_ValueError, "%s: expected at least %zd entries, got %zd", name, n, column->n);
    return -1;
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

static const char distinct_doc[] =
    "distinct(task_ids, capacity, slots, row_of)\n--\n\n"
    "Fills `slots` with the distinct slots of `task_ids`, ascending, and `row_of` with the index of each id's slot among\n"
    "them. Returns the number of distinct slots.";

static PyObject *distinct(PyObject *module, PyObject *args) {
    Borrowed borrowed = {.num = 0};
    PyObject *ids_array, *slots_array, *row_of_array, *result = NULL;
    Column ids, slots, row_of;
    Py_ssize_t capacity, n, num_distinct = 0;
    int64_t *keys = NULL;
    if (!PyArg_ParseTuple(args, "OnOO", &ids_array, &capacity, &slots_array, &row_of_array)) return NULL;
    if (borrow_column(&borrowed, &ids, ids_array, "task_ids", 'i', 0, READ)) goto end;
    n = ids.n;
    if (borrow_column(&borrowed, &slots, slots_array, "slots", 'i', n, WRITE)) goto end;
    if (borrow_column(&borrowed, &row_of, row_of_array, "row_of", 'i', n, WRITE)) goto end;
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

/* Settings, likewise. */
enum { SCORE_LOW, SCORE_SCALE, THRESHOLD, LOWEST_SUCCESS, BASELINE_SAMPLES, NO_FAILURE, MAX_REGRET, NUM_SETTINGS };

typedef struct {
    Column rows[NUM_FIELDS], labels[NUM_LABEL_COLUMNS], reasons;
    const double *weights, *coarse_weights; /* (num_weights, NUM_RATES) each, as `averages.weight_tables` gives them */
    int64_t num_weights;
    double settings[NUM_SETTINGS];
    long long num_scheduled, num_told; /* of the pool, up to the event */
    long long num_cancelled, num_unsolicited;
} Pool;

static inline double clipped(double value, double low, double high) {
    return value < low ? low : value > high ? high : value;
}

/* Weight that `count` results, at least 1, have in an average, as `averages.weight` gives it. */
static inline double weight(const Pool *pool, int64_t count, int rate) {
    int64_t length = pool->num_weights;
    if (count < length) return pool->weights[count * NUM_RATES + rate];
    if (count > length * length - 1) count = length * length - 1;
    double rest = pool->weights[count % length * NUM_RATES + rate];
    return rest + (1.0 - rest) * pool->coarse_weights[count / length * NUM_RATES + rate];
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
    int64_t limit = (int64_t)pool->settings[BASELINE_SAMPLES];
    if (limit) {
        Word *baseline = at(pool->rows[RANDOM_BASELINE], row);
        double old = baseline->f * (num_before > 0), share = num_before < limit ? 1.0 / (double)(num_before + 1) : 0.0;
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
static void tell(Pool *pool, Py_ssize_t row, double told) {
    const double *settings = pool->settings;
    double score = clipped((told - settings[SCORE_LOW]) / settings[SCORE_SCALE], 0.0, 1.0);
    int64_t label = at(pool->rows[LABEL_INDEX], row)->i;
    step_averages(pool, row, score, told >= settings[LOWEST_SUCCESS]);
    push_recent(pool, row, score);
    at(pool->rows[SUCCESS_THRESHOLD], row)->f = settings[THRESHOLD];
    at(pool->rows[LAST_SCORE], row)->f = score;
    at(pool->rows[LAST_COMPLETED], row)->i = ++pool->num_told;
    at(pool->rows[NUM_COMPLETIONS], row)->i++;
    at(pool->rows[NUM_FAILURES], row)->i = 0;
    at(pool->labels[L_NUM_COMPLETED], label)->i++;
    at(pool->labels[L_NUM_RECENT], label)->i++;
    at(pool->labels[L_RECENT_SCORE], label)->f += score;
}

/* Records the regret of a result. */
static void tell_regret(Pool *pool, Py_ssize_t row, double regret) {
    double limit = pool->settings[MAX_REGRET], clean = clipped(regret, -limit, limit);
    at(pool->rows[LAST_REGRET], row)->f = clean;
    at(pool->rows[NUM_REGRETS], row)->i++;
    at(pool->labels[L_RECENT_REGRET], at(pool->rows[LABEL_INDEX], row)->i)->f += clean;
}

/* Records a hand-out. */
static void hand_out(Pool *pool, Py_ssize_t row, int is_current) {
    pool->num_scheduled++;
    if (!is_current) return;
    Word *last = at(pool->rows[LAST_SCHEDULED], row);
    if (last->i < pool->num_scheduled) last->i = pool->num_scheduled;
    at(pool->rows[NUM_SCHEDULED], row)->i++;
    at(pool->labels[L_NUM_SCHEDULED], at(pool->rows[LABEL_INDEX], row)->i)->i++;
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
        if (regret != pool->settings[NO_FAILURE]) at(pool->rows[NUM_FAILURES], row)->i++;
    }
    return 0;
}

/* Records one event in `row`. An event of an evicted task is balanced against the orphans of its slot. */
static int record_event(Pool *pool, Py_ssize_t row, int64_t id, int64_t kind, double score, double regret) {
    int is_current = at(pool->rows[TASK_ID], row)->i == id;
    Word *pending = at(pool->rows[is_current ? NUM_PENDING : NUM_ORPHANS], row);
    if (kind == SCHEDULED) {
        pending->i++;
        hand_out(pool, row, is_current);
        return 0;
    }
    if (pending->i > 0) pending->i--;
    else pool->num_unsolicited++;
    if (kind == CANCELLED) return cancel(pool, row, is_current, score, regret);
    if (is_current && kind >= TOLD) {
        tell(pool, row, score);
        if (kind == TOLD_WITH_REGRET) tell_regret(pool, row, regret);
    }
    return 0;
}

/* Borrows the columns of `words`, shape (words, k), that `fields` index, and checks what they say about memory. */
static int borrow_rows(Borrowed *borrowed, Pool *pool, PyObject *words_array, PyObject *fields_array) {
    Column fields;
    if (borrow_column(borrowed, &fields, fields_array, "fields", 'i', NUM_FIELDS, READ)) return -1;
    Py_buffer *words = borrow(borrowed, words_array, "words", 'i', 2, WRITE);
    if (!words) return -1;
    Py_ssize_t num_rows = words->shape[1];
    for (int field = 0; field < NUM_FIELDS; field++) {
        int64_t index = at(fields, field)->i;
        if (index < 0 || index >= words->shape[0]) {
            PyErr_Format(PyExc_ValueError, "fields: expected indices below %zd, got another", words->shape[0]);
            return -1;
        }
        pool->rows[field] = (Column){(char *)words->buf + index * num_rows * 8, num_rows, 8};
    }
    for (Py_ssize_t row = 0; row < num_rows; row++) {
        int64_t label = at(pool->rows[LABEL_INDEX], row)->i;
        if (label < 0 || label >= pool->labels[0].n || at(pool->rows[NUM_COMPLETIONS], row)->i < 0) {
            PyErr_Format(PyExc_ValueError, "words: expected indices of %zd labels and counts of results, got others",
                         pool->labels[0].n);
            return -1;
        }
    }
    return 0;
}

/* Borrows the columns of the statistics of labels, all of one length. */
static int borrow_labels(Borrowed *borrowed, Pool *pool, PyObject *columns) {
    if (!PyTuple_Check(columns) || PyTuple_Size(columns) != NUM_LABEL_COLUMNS) {
        PyErr_SetString(PyExc_ValueError, "labels: expected a tuple of five columns, got another object");
        return -1;
    }
    for (int index = 0; index < NUM_LABEL_COLUMNS; index++) {
        Column *column = &pool->labels[index];
        char kind = index < L_RECENT_SCORE ? 'i' : 'f';
        if (borrow_column(borrowed, column, PyTuple_GetItem(columns, index), "labels", kind, pool->labels[0].n, WRITE))
            return -1;
    }
    return 0;
}

/* Borrows the two tables of weights, and copies the settings. */
static int borrow_settings(Borrowed *borrowed, Pool *pool, PyObject *fine, PyObject *coarse, PyObject *settings_array) {
    Column settings;
    if (borrow_column(borrowed, &settings, settings_array, "settings", 'f', NUM_SETTINGS, READ)) return -1;
    for (int index = 0; index < NUM_SETTINGS; index++) pool->settings[index] = at(settings, index)->f;
    Py_buffer *first = borrow(borrowed, fine, "weights", 'f', 2, READ);
    if (!first) return -1;
    Py_buffer *second = borrow(borrowed, coarse, "coarse_weights", 'f', 2, READ);
    if (!second) return -1;
    Py_ssize_t length = first->shape[0];
    if (length < 2 || length > 1 << 20 || second->shape[0] != length || first->shape[1] != NUM_RATES ||
        second->shape[1] != NUM_RATES) {
        PyErr_Format(PyExc_ValueError, "weights: expected two tables of %d rates and one length", NUM_RATES);
        return -1;
    }
    pool->weights = first->buf, pool->coarse_weights = second->buf, pool->num_weights = length;
    return 0;
}

static const char record_doc[] =
    "record(events, row_of, words, fields, labels, reasons, weights, coarse_weights, settings, num_scheduled,\n"
    "       num_completed)\n--\n\n"
    "Records events, oldest first, in `words`, `labels` and `reasons`, which are private copies. Returns the numbers of\n"
    "hand-outs, results of tasks in the pool, cancellations, and endings without a hand-out.";

static PyObject *record(PyObject *module, PyObject *args) {
    Borrowed borrowed = {.num = 0};
    Pool pool = {.labels = {{0}}};
    PyObject *id_array, *kind_array, *score_array, *regret_array, *row_of_array, *words, *fields, *labels, *reasons;
    PyObject *weights, *coarse, *settings, *result = NULL;
    Column ids, kinds, scores, regrets, row_of;
    long long scheduled_before, told_before;
    if (!PyArg_ParseTuple(args, "(OOOO)OOOOOOOOLL", &id_array, &kind_array, &score_array, &regret_array, &row_of_array,
                          &words, &fields, &labels, &reasons, &weights, &coarse, &settings, &scheduled_before,
                          &told_before))
        return NULL;
    pool.num_scheduled = scheduled_before, pool.num_told = told_before;
    if (borrow_column(&borrowed, &ids, id_array, "task_ids", 'i', 0, READ) ||
        borrow_column(&borrowed, &kinds, kind_array, "kinds", 'i', ids.n, READ) ||
        borrow_column(&borrowed, &scores, score_array, "scores", 'f', ids.n, READ) ||
        borrow_column(&borrowed, &regrets, regret_array, "regrets", 'f', ids.n, READ) ||
        borrow_column(&borrowed, &row_of, row_of_array, "row_of", 'i', ids.n, READ) ||
        borrow_column(&borrowed, &pool.reasons, reasons, "reasons", 'i', 0, WRITE) ||
        borrow_labels(&borrowed, &pool, labels) || borrow_rows(&borrowed, &pool, words, fields) ||
        borrow_settings(&borrowed, &pool, weights, coarse, settings))
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

static PyMethodDef functions[] = {
    {"distinct", distinct, METH_VARARGS, distinct_doc},
    {"record", record, METH_VARARGS, record_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "_kernel", .m_methods = functions};

PyMODINIT_FUNC PyInit__kernel(void) { return PyModuleDef_Init(&definition); }
