! lockstep for Fortran: the functions of lockstep/lockstep.h, which says what they do, under the same
! names, and types that have the same layout.  A C array (count, channels, height, width) is a
! Fortran array (width, height, channels, count).  Compile it with the program that uses it.
module lockstep
    use, intrinsic :: iso_c_binding
    implicit none
    public

    integer(c_int), parameter :: ls_ok = 0, ls_err_input = 1, ls_err_system = 2, &
        ls_err_numeric = 3, ls_err_bug = 4, ls_stopped = 5
    integer(c_int), parameter :: ls_type_u8 = 0, ls_type_i8 = 1, ls_type_u16 = 2, ls_type_i16 = 3, &
        ls_type_u32 = 4, ls_type_i32 = 5, ls_type_u64 = 6, ls_type_i64 = 7, ls_type_f32 = 8, &
        ls_type_f64 = 9
    integer(c_int), parameter :: ls_split_validation = 0, ls_split_test = 1
    integer, parameter :: ls_digest_text = 33, ls_reason_text = 256
    integer, parameter :: ls_suggest_minimum = 0, ls_suggest_steep = 1, ls_suggest_valley = 2, &
        ls_suggest_slide = 3, ls_suggest_base_lr = 4, ls_suggest_max_lr = 5, &
        ls_suggest_recommended = 6, ls_suggest_count = 7

    type, bind(c) :: ls_shape
        integer(c_int) :: ndims = 0
        integer(c_int64_t) :: size(4) = 0 ! channels, then [depth,] [height,] [width]
    end type

    type, bind(c) :: ls_data_source
        type(c_ptr) :: name = c_null_ptr ! of a text that ends with c_null_char
        integer(c_int64_t) :: count = 0
        type(ls_shape) :: shape
        integer(c_int) :: type = ls_type_f32
        integer(c_int64_t) :: targets = 0
        integer(c_int) :: target_type = ls_type_i32
        type(c_ptr) :: inputs_array = c_null_ptr, targets_array = c_null_ptr
        type(c_funptr) :: read = c_null_funptr, prefetch = c_null_funptr
        type(c_ptr) :: context = c_null_ptr
    end type

    type, bind(c) :: ls_step_report
        integer(c_int64_t) :: samples
        real(c_double) :: loss
        integer(c_int64_t) :: correct
        type(c_ptr) :: slice_loss
        real(c_double) :: gain
        type(c_ptr) :: slice_gain
        real(c_double) :: gradient_norm
        logical(c_bool) :: stop_requested
        integer(c_int) :: redone
        real(c_double) :: seconds(6)
    end type

    type, bind(c) :: ls_decision
        real(c_double) :: lr = 0, momentum = 0
        logical(c_bool) :: stop = .false.
    end type

    type, bind(c) :: ls_find_lr_job
        type(c_ptr) :: folder = c_null_ptr ! of a text that ends with c_null_char
        type(c_ptr) :: notes = c_null_ptr
        integer(c_size_t) :: note_count = 0
        type(c_funptr) :: progress = c_null_funptr, interrupted = c_null_funptr
        type(c_ptr) :: context = c_null_ptr
    end type

    type, bind(c) :: ls_suggestion
        type(c_ptr) :: name
        logical(c_bool) :: found
        real(c_double) :: value
        logical(c_bool) :: noisy
        integer(c_int64_t) :: index
        character(kind=c_char) :: reason(ls_reason_text)
    end type

    type, bind(c) :: ls_find_lr_result
        integer(c_int) :: stop
        integer(c_int64_t) :: stop_step
        character(kind=c_char) :: stop_detail(ls_reason_text)
        integer(c_int64_t) :: points
        character(kind=c_char) :: advice(ls_reason_text), unreached(ls_reason_text/2)
        type(ls_suggestion) :: suggestions(0:ls_suggest_count - 1)
        logical(c_bool) :: restored
        character(kind=c_char) :: digest(ls_digest_text)
    end type

    abstract interface
        function ls_decide(context, report) result(decision) bind(c)
            import :: c_ptr, ls_step_report, ls_decision
            type(c_ptr), value :: context
            type(ls_step_report), intent(in) :: report
            type(ls_decision) :: decision
        end function
    end interface

    interface
        function ls_exit_code(status) result(code) bind(c)
            import :: c_int
            integer(c_int), value :: status
            integer(c_int) :: code
        end function
        function ls_message() result(text) bind(c)
            import :: c_ptr
            type(c_ptr) :: text
        end function

        ! mpi: the handle of `use mpi`, or comm%mpi_val of `use mpi_f08`
        function ls_comm_create_fortran(mpi, comm) result(status) bind(c)
            import :: c_int, c_ptr
            integer(c_int), value :: mpi
            type(c_ptr), intent(out) :: comm
            integer(c_int) :: status
        end function
        subroutine ls_comm_free(comm) bind(c)
            import :: c_ptr
            type(c_ptr), value :: comm
        end subroutine
        function ls_comm_rank(comm) result(rank) bind(c)
            import :: c_int, c_ptr
            type(c_ptr), value :: comm
            integer(c_int) :: rank
        end function
        function ls_comm_size(comm) result(ranks) bind(c)
            import :: c_int, c_ptr
            type(c_ptr), value :: comm
            integer(c_int) :: ranks
        end function

        ! texts end with c_null_char
        function ls_config_create(yaml, config) result(status) bind(c)
            import :: c_char, c_int, c_ptr
            character(kind=c_char), intent(in) :: yaml(*)
            type(c_ptr), intent(out) :: config
            integer(c_int) :: status
        end function
        function ls_config_set(config, key, value) result(status) bind(c)
            import :: c_char, c_int, c_ptr
            type(c_ptr), value :: config
            character(kind=c_char), intent(in) :: key(*), value(*)
            integer(c_int) :: status
        end function
        subroutine ls_config_free(config) bind(c)
            import :: c_ptr
            type(c_ptr), value :: config
        end subroutine

        ! validation and test: c_loc of an ls_data_source, or c_null_ptr
        function ls_engine_create_from(comm, config, train, validation, test, engine) &
            result(status) bind(c)
            import :: c_int, c_ptr, ls_data_source
            type(c_ptr), value :: comm, config, validation, test
            type(ls_data_source), intent(in) :: train
            type(c_ptr), intent(out) :: engine
            integer(c_int) :: status
        end function
        subroutine ls_engine_free(engine) bind(c)
            import :: c_ptr
            type(c_ptr), value :: engine
        end subroutine
        function ls_engine_steps_per_epoch(engine) result(steps) bind(c)
            import :: c_int64_t, c_ptr
            type(c_ptr), value :: engine
            integer(c_int64_t) :: steps
        end function
        function ls_engine_step(engine, epoch, batch, decide, context, decision, report) &
            result(status) bind(c)
            import :: c_int, c_int64_t, c_funptr, c_ptr, ls_step_report, ls_decision
            type(c_ptr), value :: engine, context
            integer(c_int64_t), value :: epoch, batch
            type(c_funptr), value :: decide ! c_funloc of an ls_decide
            type(ls_decision), intent(out) :: decision
            type(ls_step_report), intent(out) :: report
            integer(c_int) :: status
        end function
        function ls_find_lr(engine, job, found) result(status) bind(c)
            import :: c_int, c_ptr, ls_find_lr_job, ls_find_lr_result
            type(c_ptr), value :: engine
            type(ls_find_lr_job), intent(in) :: job
            type(ls_find_lr_result), intent(out) :: found
            integer(c_int) :: status
        end function
        function ls_engine_evaluate(engine, split, samples, loss, accuracy) result(status) bind(c)
            import :: c_double, c_int, c_int64_t, c_ptr
            type(c_ptr), value :: engine
            integer(c_int), value :: split
            integer(c_int64_t), value :: samples
            real(c_double), intent(out) :: loss, accuracy
            integer(c_int) :: status
        end function
        function ls_engine_outputs(engine) result(outputs) bind(c)
            import :: c_int64_t, c_ptr
            type(c_ptr), value :: engine
            integer(c_int64_t) :: outputs
        end function
        function ls_engine_predict_batch(engine, count, type, inputs, outputs) result(status) bind(c)
            import :: c_float, c_int, c_int64_t, c_ptr
            type(c_ptr), value :: engine, inputs ! c_loc of the samples
            integer(c_int64_t), value :: count
            integer(c_int), value :: type
            real(c_float), intent(out) :: outputs(*)
            integer(c_int) :: status
        end function
        function ls_engine_load(engine, path) result(status) bind(c)
            import :: c_char, c_int, c_ptr
            type(c_ptr), value :: engine
            character(kind=c_char), intent(in) :: path(*)
            integer(c_int) :: status
        end function
        function ls_engine_digest(engine, text) result(status) bind(c)
            import :: c_char, c_int, c_ptr
            type(c_ptr), value :: engine
            character(kind=c_char), intent(out) :: text(33)
            integer(c_int) :: status
        end function
    end interface

contains

    ! What ls_message says.
    function ls_text() result(text)
        character(len=:), allocatable :: text
        character(kind=c_char), pointer :: letters(:)
        integer :: i
        call c_f_pointer(ls_message(), letters, [2048])
        text = ''
        do i = 1, size(letters)
            if (letters(i) == c_null_char) exit
            text = text//letters(i)
        end do
    end function
end module
