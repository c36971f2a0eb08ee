/* What learning changes: it begins with $begins. The first $n_params numbers of vectors are the parameters, then
   come the optimizer's vectors. result.read_back(...) of fastnn takes these bytes. */
struct ${name}_state {
    uint64_t format; /* of this network, this optimizer and where they begin */
    uint64_t n_steps;
    double beta_products[2];
    $number vectors[$n_vectors];
};
extern struct ${name}_state ${name}_state;

/* A row or a target ($targets), a loss or a gradient that is not finite changes nothing.
   After an overflow of a parameter the state is spoilt: where RAM allows it, keep a copy before a step,
   struct ${name}_state copy = ${name}_state, and assign it back. */
enum ${name}_code {
    ${upper}_LEARNED,
    ${upper}_BAD_ROW,
    ${upper}_BAD_TARGET,
    ${upper}_BAD_LOSS,
    ${upper}_BAD_GRADIENT,
    ${upper}_OVERFLOW
};

/* Do a step on one row of inputs x with its targets y:
   $step.
   The loss before it$penalty is written to *loss, unless that is NULL, where row and target are good. */
enum ${name}_code ${name}_learn(const $number x[$n_inputs], const $number y[$n_outputs], $number *loss);

